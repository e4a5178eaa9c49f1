"""Two controllers on one table, with time, crashes and pauses between any two calls: the machine and its laws.

A *gate* stands in every call that a controller makes to the table, the runner and the rest of the world. It
can crash the controller there (before the call or after it) or hold it there while time passes and the other
controller works: that is how a controller that lost its lease without knowing it comes about.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from modelyard.base.errors import Conflict
from modelyard.core.jobs.controller import JobController
from modelyard.core.jobs.model import Job, Resources
from modelyard.core.jobs.states import TERMINAL
from modelyard.testing.fake_runner import Script
from tests.unit.core.jobs.world import World, template

MEMORY = Path("/dev/shm")
"""Where the machine's databases lie: thousands of them, none of which must survive a power cut."""

HISTORY = re.compile(
    r"Starting( Downloading( Training Interrupted Downloading)*( Training( Uploading)?)?)?( Interrupted)?"
    r"( Stopping)? (Completed|Failed|Stopped|MaxRuntimeExceeded|MaxWaitTimeExceeded)"
)

_template: list[bytes] = []


class Crash(BaseException):
    """The controller's process dies here."""


class Gate:
    """Counts the passages of one controller, all or those of one call; at the armed one something happens."""

    def __init__(self) -> None:
        self._left, self._call = 0, ""
        self._happens: Callable[[], None] = lambda: None

    def arm(self, passages: int, happens: Callable[[], None], call: str = "") -> None:
        self._left, self._call, self._happens = passages, call, happens

    def disarm(self) -> None:
        self._left = 0

    def passage(self, call: str) -> None:
        if self._left and self._call in ("", call):
            self._left -= 1
            if not self._left:
                self._happens()


class Gated:
    """An object whose every method call passes a gate before and after."""

    def __init__(self, target: Any, gate: Gate) -> None:
        self._target, self._gate = target, gate

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self._gate.passage(name)
            result = value(*args, **kwargs)
            self._gate.passage(name)
            return result

        return call


class Controllers:
    """Two places, each with a live controller; a crashed one is followed by a new process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.gates = [Gate(), Gate()]
        self._live = [self._new(0), self._new(1)]

    def step(self, place: int) -> None:
        self._live[place].step()

    def crash(self, place: int, passages: int) -> None:
        """The controller dies at the given passage of its next pass, or after the pass if that has fewer."""
        self.gates[place].arm(passages, _crash)
        with contextlib.suppress(Crash):
            self.step(place)
        self.gates[place].disarm()
        self._live[place] = self._new(place)

    def pause(self, place: int, passages: int, meanwhile: Callable[[], None], call: str = "") -> None:
        """The controller stands still at the given passage while something else happens."""
        self.gates[place].arm(passages, meanwhile, call)
        self.step(place)
        self.gates[place].disarm()

    def _new(self, place: int) -> JobController:
        world, gate = self._world, self.gates[place]
        work = world.work(
            runner=Gated(world.runner, gate),
            staging=Gated(world.staging, gate),
            environments=Gated(world.environments, gate),
            sessions=Gated(world.sessions, gate),
        )
        return world.controller(table=Gated(world.table, gate), work=work)


def _crash() -> None:
    raise Crash


PLACES = st.integers(0, 1)
PASSAGES = st.integers(1, 60)
CALLS = st.sampled_from(["start", "seal", "observe", "holds", "advance", "stage", "collect", "issue", "claim", "admit"])
SPANS = st.sampled_from([0.1, 0.5, 0.9, 1.0, 2.0, 2.9, 3.0, 3.1, 5.0])
SCRIPTS = st.builds(
    Script,
    runs_for=st.sampled_from([0.0, 0.5, 2.0, 8.0, 30.0]),
    exit_code=st.sampled_from([0, 0, 1]),
    stops_in=st.sampled_from([0.0, 1.0]),
    lost=st.booleans(),
)


class JobsMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def begin(self) -> None:
        if not _template:
            with tempfile.TemporaryDirectory() as folder:
                _template.append(template(Path(folder)).read_bytes())
        self.folder = Path(tempfile.mkdtemp(prefix="modelyard-jobs-", dir=MEMORY if MEMORY.is_dir() else None))
        (self.folder / "catalogue.db").write_bytes(_template[0])
        self.world = World(self.folder)
        self.controllers = Controllers(self.world)
        self.jobs: list[Job] = []
        self.stopped: set[str] = set()
        self.ended: dict[str, Job] = {}

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(script=SCRIPTS, then=SCRIPTS, retries=st.integers(0, 2), cpus=st.sampled_from([1.0, 2.0, 16.0]))
    def create(self, script: Script, then: Script, retries: int, cpus: float) -> None:
        name = f"job-{len(self.jobs)}"
        self.world.scripts[f"{name}/1"] = script
        self.world.scripts[name] = then
        spec = {"retries": retries, "resources": Resources("ml.m5.large", cpus=cpus, memory=1 << 20)}
        self.jobs.append(self.world.create(name, **spec))

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        self.world.clock.step(seconds)

    @rule(place=PLACES)
    def step(self, place: int) -> None:
        self.controllers.step(place)

    @rule(place=PLACES, passages=PASSAGES)
    def crash(self, place: int, passages: int) -> None:
        self.controllers.crash(place, passages)

    @rule(place=PLACES, passages=PASSAGES, seconds=st.lists(SPANS, min_size=1, max_size=6))
    def pause(self, place: int, passages: int, seconds: list[float]) -> None:
        self.controllers.pause(place, passages, lambda: self._other_works(1 - place, seconds))

    @rule(place=PLACES, call=CALLS, passages=st.integers(1, 4), seconds=st.lists(SPANS, min_size=3, max_size=6))
    def pause_at(self, place: int, call: str, passages: int, seconds: list[float]) -> None:
        """Where it matters most: just before or after a call of this name."""
        self.controllers.pause(place, passages, lambda: self._other_works(1 - place, seconds), call)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        try:
            self.world.service.stop(job.id)
            self.stopped.add(job.id)
        except Conflict:
            assert self.world.get(job.name).state in TERMINAL

    @precondition(lambda self: self.world.runner.lives)
    @rule(data=st.data())
    def kill_a_supervisor(self, data: st.DataObject) -> None:
        self.world.runner.kill_supervisor(data.draw(st.sampled_from(sorted(self.world.runner.lives))))

    @invariant()
    def no_two_attempts_of_a_job_ever_lived_at_once(self) -> None:
        assert self.world.runner.doubles == []

    @invariant()
    def what_ended_stays_as_it_ended_and_nothing_of_it_lives(self) -> None:
        for job in self.jobs:
            now = self.world.service.get(job.id)
            if now.state in TERMINAL:
                assert self.ended.setdefault(job.id, now) == now
                assert self.world.runner.alive(job.id) == ()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self._finish()
            for job in self.jobs:
                self._check(self.world.service.get(job.id))
            self.no_two_attempts_of_a_job_ever_lived_at_once()
        finally:
            self.world.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _other_works(self, place: int, seconds: list[float]) -> None:
        for span in seconds:
            self.world.clock.step(span)
            self.controllers.step(place)

    def _finish(self) -> None:
        """With two controllers that work, every job ends and all it held is freed."""
        for _ in range(400):
            for place in (0, 1):
                self.controllers.step(place)
            self.world.clock.step(1.0)
            jobs = [self.world.service.get(job.id) for job in self.jobs]
            if all(job.state in TERMINAL for job in jobs) and not self.world.table.untidy(
                9, self.world.clock.now() + 9
            ):
                return
        raise AssertionError(f"not ended: {[(job.name, job.state, job.phase) for job in jobs]}")

    def _check(self, job: Job) -> None:
        history = " ".join(entry.phase for entry in job.transitions)
        assert HISTORY.fullmatch(history), history
        attempts = self.world.table.attempts(job.id)
        begun = [attempt for attempt in attempts if attempt.id in self.world.runner.begun]
        assert all(attempt.outcome is not None for attempt in attempts)
        assert len(begun) <= 1 + job.spec.retries
        assert all(attempt.outcome in ("lost", "exited") for attempt in begun) or job.stop_requested
        assert job.stop_requested == (job.id in self.stopped)
        assert not self.world.sessions.valid & {attempt.id for attempt in attempts}
        last = self.world.runner.lives.get(self.world.folders.attempt(job.id, job.attempt))
        if job.state == "succeeded":
            assert last is not None and not last.lost and last.exit_code == 0
        if job.state == "stopped":
            assert job.stop_requested
        if job.state == "failed":
            assert last is not None and (last.lost or last.exit_code == 1)
