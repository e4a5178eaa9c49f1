"""Each guard of the jobs is taken away in turn: some test must then fail, or it guards nothing.

A mutation patches the code under test; beside it stands the law that must catch it, run as it runs in the
suite. The same laws pass on the code as it is (the last test), so they fail for the mutation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Connection, event, text

from modelyard.base import disk
from modelyard.base.clock import SteppedClock
from modelyard.base.errors import ModelyardError
from modelyard.core.jobs import moves, states
from modelyard.stores.sql import database, jobs
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.testing.job_table_kit import JobTableContract
from tests.fault.jobs_machine import JobsMachine
from tests.fault.test_jobs_state_machine import SETTINGS

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]


class RecordingDisk(disk.RealDisk):
    """Remembers in which order bytes were flushed, renamed and the folder flushed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def sync(self, fd: int) -> None:
        self.calls.append("sync")

    def replace(self, source: Path, target: Path) -> None:
        self.calls.append("replace")
        super().replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self.calls.append("sync_folder")


class _Unsynced(disk.RealDisk):
    """A disk whose ``sync`` is never called."""

    def __init__(self, real: disk.Disk) -> None:
        self._real = real

    def sync(self, fd: int) -> None:
        """Left out."""

    def replace(self, source: Path, target: Path) -> None:
        self._real.replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self._real.sync_folder(folder)


class _Contract(JobTableContract):
    clock: SteppedClock

    def pass_time(self, table: Any, seconds: float) -> None:
        self.clock.step(seconds)


def schedules(_folder: Path) -> None:
    """Two controllers keep the laws under every schedule (test_jobs_state_machine)."""
    run_state_machine_as_test(JobsMachine, settings=settings(SETTINGS, derandomize=True, max_examples=2000))


def contract(name: str) -> Callable[[Path], None]:
    """One law of the table's contract (test_jobs_table)."""

    def law(folder: Path) -> None:
        opened = Database(f"sqlite:///{folder / 'catalogue.db'}")
        opened.migrate()
        kit = _Contract()
        kit.clock = SteppedClock()
        try:
            getattr(kit, name)(SqlJobTable(opened, kit.clock))
        finally:
            opened.close()

    return law


def commits_are_flushed(folder: Path) -> None:
    """Every connection writes ahead and flushes at each commit."""
    opened = Database(f"sqlite:///{folder / 'catalogue.db'}")
    try:
        with opened.write() as connection:
            assert _pragma(connection, "journal_mode") == "wal"
            assert _pragma(connection, "synchronous") == 2
    finally:
        opened.close()


def files_are_flushed_before_they_are_named(folder: Path) -> None:
    """A durable file's bytes are on disk before its name is, and its name before the call returns."""
    recording = RecordingDisk()
    disk.write_durably(recording, folder / "exit", b"{}")
    assert recording.calls == ["sync", "replace", "sync_folder"]


@dataclass(frozen=True)
class Mutation:
    """What is taken away, and the law that must notice."""

    remove: Callable[[pytest.MonkeyPatch], None]
    law: Callable[[Path], None]


def _without_sync(patch: pytest.MonkeyPatch) -> None:
    """A durable write leaves out that one call and makes every other."""
    whole = disk.write_durably

    def careless(real: disk.Disk, path: Path, content: bytes, mode: int = 0o600) -> None:
        whole(_Unsynced(real), path, content, mode)

    patch.setattr(disk, "write_durably", careless)


def _without_flushed_commits(patch: pytest.MonkeyPatch) -> None:
    opened = database._engine

    def careless(*args: Any, **kwargs: Any) -> Any:
        engine = opened(*args, **kwargs)

        @event.listens_for(engine, "connect")
        def _relax(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")

        return engine

    patch.setattr(database, "_engine", careless)


def _without_seal(patch: pytest.MonkeyPatch) -> None:
    """An attempt that never started is taken for over without being sealed."""

    def careless(self: moves.Mover, held: Any) -> Any:
        seen = self._work.runner.observe(self._work.folders.make(held.job.id, held.job.attempt))
        return moves.Observation("exited", reason="stopped") if seen.state == "absent" else seen

    patch.setattr(moves.Mover, "_sealed", careless)


MUTATIONS = {
    "the fence": Mutation(lambda patch: patch.setattr(jobs, "has_token", lambda row, lease: True), schedules),
    "the fence, by contract": Mutation(
        lambda patch: patch.setattr(jobs, "has_token", lambda row, lease: True),
        contract("test_the_fence_refuses_whoever_held_the_job_before"),
    ),
    "the lease check": Mutation(
        lambda patch: patch.setattr(jobs, "has_time", lambda row, now: True),
        contract("test_an_expired_lease_writes_nothing_even_if_nobody_took_the_job"),
    ),
    "the seal": Mutation(_without_seal, schedules),
    "the table of transitions": Mutation(
        lambda patch: patch.setattr(states, "check", lambda *args: None),
        contract("test_an_illegal_move_writes_nothing"),
    ),
    "the regard for a stop": Mutation(
        lambda patch: patch.setattr(jobs, "knows_of_stop", lambda row, change: True),
        contract("test_a_stop_needs_no_lease_and_supersedes_what_was_decided_before"),
    ),
    "the flush of a file": Mutation(_without_sync, files_are_flushed_before_they_are_named),
    "the flush of a commit": Mutation(_without_flushed_commits, commits_are_flushed),
}


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_guard_that_is_taken_away_is_missed(name: str, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mutation = MUTATIONS[name]
    mutation.remove(patch)
    with pytest.raises((AssertionError, pytest.fail.Exception, ModelyardError)):
        mutation.law(tmp_path)


def test_the_active_attempt_is_unique_by_an_index(tmp_path: Path) -> None:
    """The mutation of the schema: without the partial index a second attempt would be taken."""
    law = contract("test_a_job_has_at_most_one_active_attempt")
    law(tmp_path)
    second = tmp_path / "second"
    second.mkdir()
    opened = Database(f"sqlite:///{second / 'catalogue.db'}")
    opened.migrate()
    with opened.write() as connection:
        connection.execute(text("DROP INDEX uq_job_attempts_active"))
    opened.close()
    with pytest.raises(pytest.fail.Exception):
        law(second)


@pytest.mark.parametrize("law", [one.law for one in MUTATIONS.values() if one.law is not schedules])
def test_the_laws_hold_on_the_code_as_it_is(law: Callable[[Path], None], tmp_path: Path) -> None:
    law(tmp_path)


def _pragma(connection: Connection, name: str) -> Any:
    return connection.execute(text(f"PRAGMA {name}")).scalar_one()
