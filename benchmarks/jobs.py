"""Jobs a second from create to done, durably on SQLite.

    python -m benchmarks.jobs [--jobs 1000] [--clients 16] [--controllers 1] [--runner nothing|process]

Measured are the table, the controllers and their loops, in one process: every state of every job is flushed
(synchronous=FULL), six of them a job, and each write is fenced. ``--runner nothing`` ends each attempt at once: the
rate of the design, to be held beside the trial's. ``--runner process`` starts a real supervisor for each attempt,
whose child is ``/bin/true``: the rate of this machine at starting processes. ``--clients`` create side by side; with
one, each creation waits for its own flush. Processor time is of this process, without supervisors.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from modelyard.app.loops import JOB_PAUSE, JOB_REST, Loop
from modelyard.app.supervisor import COMMAND
from modelyard.base.changes import Changes
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.base.ids import RandomIds
from modelyard.base.paging import Listing
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.controller import JobController
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.model import Job, JobQuery, JobSpec, NewJob, Resources
from modelyard.core.jobs.ports import Attempt, Collected, Observation, Runner, StagedJob
from modelyard.core.jobs.scheduling import Capacity
from modelyard.core.jobs.service import JobService
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.testing.fake_jobs import FakeEnvironments, FakeSessions

SPEC = JobSpec("image", Resources("ml.m5.large", cpus=1.0, memory=256 << 20), {"epochs": "3"})
OPEN = Listing(states=frozenset({"queued", "starting", "running", "stopping"}), limit=1)


class Nothing:
    """A runner whose attempts end as soon as they begin."""

    def __init__(self) -> None:
        self._ended: dict[Path, float] = {}

    def start(self, attempt: Attempt) -> None:
        self._ended[attempt.folder] = time.time()

    def observe(self, attempt_folder: Path) -> Observation:
        at = self._ended.get(attempt_folder)
        return Observation("absent") if at is None else Observation("exited", at, at, 0, "exited")

    def seal(self, attempt_folder: Path) -> None:
        raise AssertionError("an attempt did not start")

    def stop(self, attempt_folder: Path, grace: float) -> None:
        raise AssertionError("an attempt was told to stop")

    def remove(self, attempt_folder: Path) -> None:
        """Holds nothing."""


class TrueStaging:
    """Nothing to stage, nothing to collect: the user's code is ``/bin/true``."""

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob:
        return StagedJob(("/bin/true",), {})

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
        return Collected()

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int:
        return 0


@dataclass(frozen=True)
class Yard:
    """What a run works on."""

    service: JobService
    table: SqlJobTable
    work: AttemptWork
    changes: Changes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--controllers", type=int, default=1)
    parser.add_argument("--runner", choices=("nothing", "process"), default="nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yard = _yard(Path(folder), options.runner, stack)
        began = time.process_time()
        created, done = _run(yard, options.jobs, options.controllers, options.clients, stack)
        busy = time.process_time() - began
    print(f"{options.jobs} jobs, {options.clients} clients, {options.controllers} controllers, runner {options.runner}")
    print(f"created  {options.jobs / created:8.0f} jobs/s")
    print(f"done     {options.jobs / done:8.0f} jobs/s from the first create to the last end")
    print(f"busy     {1000 * busy / options.jobs:8.2f} ms of processor time a job")


def _yard(folder: Path, runner: str, stack: ExitStack) -> Yard:
    clock, changes, folders = SystemClock(), Changes(), JobFolders(folder / "jobs")
    database = Database(f"sqlite:///{folder / 'catalogue.db'}")
    stack.callback(database.close)
    database.migrate()
    table = SqlJobTable(database, clock)
    work = AttemptWork(
        runner=_runner(runner, folder),
        staging=TrueStaging(),
        environments=FakeEnvironments(Path("/usr/bin/python3")),
        sessions=FakeSessions(),
        folders=folders,
        clock=clock,
        capacity=Capacity(64, 1 << 40),
        disk_reserve=0,
    )
    return Yard(JobService(table, folders, FakeEnvironments(), RandomIds(), changes), table, work, changes)


def _runner(kind: str, folder: Path) -> Runner:
    if kind == "nothing":
        return Nothing()
    rules = Rules(COMMAND, hidden=(folder,), server_lock=folder / "server.lock")
    return ProcessRunner(rules, RealDisk(), SystemClock())


def _run(yard: Yard, count: int, controllers: int, clients: int, stack: ExitStack) -> tuple[float, float]:
    """Seconds until all were created, and until all were done."""
    executor = stack.enter_context(ThreadPoolExecutor(8))
    began = time.perf_counter()
    for _ in range(controllers):
        step = JobController(yard.table, yard.work, RandomIds(), SystemClock(), yard.changes, executor).step
        loop = Loop("jobs", step, JOB_PAUSE, JOB_REST)
        yard.changes.listen(loop.wake)
        loop.start()
        stack.callback(loop.stop)
    new = [NewJob("training", "sagemaker", "us-east-1", SPEC, {}, name=f"job-{number}") for number in range(count)]
    with ThreadPoolExecutor(clients) as callers:
        list(callers.map(yard.service.create, new))
    created = time.perf_counter() - began
    while yard.service.list(JobQuery(OPEN)).items:
        time.sleep(0.1)
    done = time.perf_counter() - began
    failed = yard.service.list(JobQuery(Listing(states=frozenset({"failed", "stopped"})))).items
    assert not failed, failed[0].failure_reason
    return created, done


if __name__ == "__main__":
    main()
