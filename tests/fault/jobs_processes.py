"""A yard of jobs with real processes: SQLite on disk, the process runner, controllers that can be killed.

The user's code is a shell loop whose log is the witness: it says ``begin``, then ``alive`` every twentieth of a
second, then ``end``. Two attempts of a job that lived at once, or one that began twice, show in it. Every write of a
job leaves a line in the table ``writes``, by a trigger in its own transaction: who moved which job when.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from sqlalchemy import text

from modelyard.app.loops import Loop
from modelyard.app.supervisor import COMMAND
from modelyard.base.changes import Changes
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.base.ids import RandomIds
from modelyard.core.jobs import logs
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.controller import JobController
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.model import Job, JobSpec, NewJob, Resources
from modelyard.core.jobs.ports import Collected, StagedJob
from modelyard.core.jobs.scheduling import Capacity
from modelyard.core.jobs.service import JobService
from modelyard.core.jobs.states import TERMINAL
from modelyard.runners.process import records
from modelyard.runners.process.probe import SandboxReport, probe
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.testing.fake_jobs import FakeEnvironments, FakeSessions

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


WRITES = (
    "CREATE TABLE writes (job_id TEXT, token INTEGER, at REAL)",
    """CREATE TRIGGER written AFTER UPDATE ON jobs BEGIN
        INSERT INTO writes VALUES (new.id, new.lease_token, (julianday('now') - 2440587.5) * 86400.0);
    END""",
)


@dataclass(frozen=True)
class Death:
    """A controller's, at an epoch second, with the jobs that it held and the tokens of their leases."""

    at: float
    held: dict[str, int]


@dataclass(frozen=True)
class ShellStaging:
    """Every job is a shell script, given as its first hyperparameter."""

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob:
        for host in job.spec.resources.hosts:
            (attempt_folder / "ml" / host).mkdir(parents=True, exist_ok=True)
            (attempt_folder / "out" / host).mkdir(parents=True, exist_ok=True)
        return StagedJob(("/bin/sh", "-c", job.spec.hyperparameters["script"]), {})

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
        return Collected("s3://bucket/model.tar.gz")

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int:
        return 0


def witness(ticks: int, deaf: bool = False) -> str:
    """A script that lives for ``ticks`` twentieths of a second; ``deaf``: whatever it is told."""
    trap = "trap '' TERM; " if deaf else ""
    return f"{trap}echo begin; i=0; while [ $i -lt {ticks} ]; do sleep 0.05; echo alive; i=$((i+1)); done; echo end"


class _Found:
    """The sandbox that the test process found, so that no controller has to look again."""

    def __init__(self, report: SandboxReport) -> None:
        self._report = report

    def __call__(self, _supervisor: tuple[str, ...]) -> SandboxReport:
        return self._report


def control(folder: Path, jobs: int, report: SandboxReport) -> None:
    """The life of a controller process, until it is killed."""
    table = SqlJobTable(Database(f"sqlite:///{folder / 'catalogue.db'}"), SystemClock())
    rules = Rules(COMMAND, hidden=(folder,), server_lock=folder / "server.lock", probe=_Found(report))
    work = AttemptWork(
        runner=ProcessRunner(rules, RealDisk(), SystemClock()),
        staging=ShellStaging(),
        environments=FakeEnvironments(Path(sys.executable)),
        sessions=FakeSessions(),
        folders=JobFolders(folder / "jobs"),
        clock=SystemClock(),
        capacity=Capacity(10_000, 1 << 50, jobs),
        disk_reserve=0,
    )
    changes = Changes()
    controller = JobController(table, work, RandomIds(), SystemClock(), changes, ThreadPoolExecutor(4))
    (folder / f"{os.getpid()}.owner").write_text(controller.owner)
    loop = Loop("jobs", controller.step, 0.1)
    changes.listen(loop.wake)
    loop.start()
    threading.Event().wait()


class Yard:
    """One data directory and its controllers."""

    def __init__(self, folder: Path, jobs: int = 8) -> None:
        self.folder, self._jobs = folder, jobs
        self._database = Database(f"sqlite:///{folder / 'catalogue.db'}")
        self._database.migrate()
        with self._database.write() as connection:
            for statement in WRITES:
                connection.execute(text(statement))
        self.table = SqlJobTable(self._database, SystemClock())
        self.folders = JobFolders(folder / "jobs")
        self.service = JobService(self.table, self.folders, FakeEnvironments(), RandomIds(), Changes())
        self._report = probe(COMMAND)
        self.controllers: list[BaseProcess] = []

    def start_controller(self) -> BaseProcess:
        process = _processes.Process(target=control, args=(self.folder, self._jobs, self._report), daemon=True)
        process.start()
        self.controllers.append(process)
        return process

    def kill_controller(self, process: BaseProcess) -> Death:
        process.kill()
        at = time.time()
        process.join()
        self.controllers.remove(process)
        return Death(at, self.held(process))

    def held(self, process: BaseProcess) -> dict[str, int]:
        """The jobs on which a controller has a lease, with the tokens of those."""
        owner = self.folder / f"{process.pid}.owner"
        query = text("SELECT id, lease_token FROM jobs WHERE lease_owner = :owner AND lease_expires > :now")
        values = {"owner": owner.read_text() if owner.exists() else "", "now": time.time()}
        with self._database.read() as connection:
            return {job_id: token for job_id, token in connection.execute(query, values)}  # noqa: C416

    def takeovers(self, death: Death) -> list[float]:
        """Seconds from the death until another controller's first write of each job that the dead one held."""
        query = text("SELECT min(at) FROM writes WHERE job_id = :job AND token > :token")
        with self._database.read() as connection:
            values = [{"job": job_id, "token": token} for job_id, token in death.held.items()]
            return [connection.execute(query, one).scalar_one() - death.at for one in values]

    def create(self, name: str, script: str, retries: int = 0, grace: float = 1.0) -> Job:
        resources = Resources("ml.m5.large", cpus=0.1, memory=256 << 20)
        spec = JobSpec("image", resources, {"script": script}, retries=retries, stop_grace=grace)
        return self.service.create(NewJob("training", "sagemaker", "us-east-1", spec, {}, name=name))

    def supervisors(self) -> list[tuple[Job, int]]:
        """The process of each live supervisor, with its job."""
        found = []
        for started in self.folders.root.glob(f"*/*/{records.STARTED}"):
            record = json.loads(started.read_text())
            if not record["sealed"] and records.is_alive(record):
                found.append((self.service.get(started.parts[-3]), int(record["pid"])))
        return found

    def wait(self, done: Callable[[], bool], seconds: float, what: str) -> float:
        """How long it took until ``done``."""
        began = time.monotonic()
        while not done():
            assert time.monotonic() - began < seconds, f"{what} took longer than {seconds} s"
            time.sleep(0.02)
        return time.monotonic() - began

    def ended(self, job: Job) -> bool:
        return self.service.get(job.id).state in TERMINAL

    def lives(self, job: Job) -> list[tuple[int, int, int]]:
        """Of each attempt that began: how often, and the times (ms) of its first and last sign of life."""
        found = []
        for attempt in self.table.attempts(job.id):
            path = logs.log_file(self.folders.attempt(job.id, attempt.number), "algo-1")
            lines = logs.read_page(path, logs.Window(limit=100_000)).lines
            if lines:
                found.append((sum(line.text == "begin" for line in lines), lines[0].at, lines[-1].at))
        return found

    def processes_of(self, job: Job) -> list[int]:
        """Live processes that the attempts of the job named before anything ran in them."""
        folders = [self.folders.attempt(job.id, one.number) for one in self.table.attempts(job.id)]
        named = [process for folder in folders for process in records.processes(folder)]
        return [process["pid"] for process in named if records.is_alive(process)]

    def orphans_of(self, job: Job) -> list[int]:
        """Live processes of the job, its supervisors included."""
        living = [pid for one, pid in self.supervisors() if one.id == job.id]
        return living + self.processes_of(job)

    def close(self) -> None:
        for process in list(self.controllers):
            self.kill_controller(process)
        for _job, pid in self.supervisors():
            os.kill(pid, signal.SIGKILL)
        self._database.close()


@contextmanager
def yard(folder: Path, jobs: int = 8) -> Iterator[Yard]:
    opened = Yard(folder, jobs)
    try:
        yield opened
    finally:
        opened.close()
