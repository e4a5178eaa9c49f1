"""A small world of jobs for tests: the real table on SQLite, a scripted runner, stepped time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelyard.base.changes import Changes
from modelyard.base.clock import SteppedClock
from modelyard.base.ids import CountedIds
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.controller import JobController, Pace
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.model import Job, JobSpec, NewJob, Resources
from modelyard.core.jobs.ports import Attempt
from modelyard.core.jobs.scheduling import Capacity
from modelyard.core.jobs.service import JobService
from modelyard.core.jobs.states import TERMINAL
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.testing.fake_jobs import FakeEnvironments, FakeSessions, FakeStaging, InlineExecutor
from modelyard.testing.fake_runner import FakeRunner, Script

MACHINE = Capacity(4, 8 << 30)
SPEC = JobSpec("sklearn", Resources("ml.m5.large", cpus=1.0, memory=1 << 30), principal="AKIA1")


def template(folder: Path) -> Path:
    """A migrated, empty catalogue, to be copied."""
    path = folder / "template.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


def raises(name: str, error: Exception) -> None:
    """An unforeseen error fails the test."""
    raise AssertionError(f"job {name}: unforeseen {error!r}") from error


class World:
    """One table, one machine, any number of controllers."""

    def __init__(self, folder: Path, capacity: Capacity = MACHINE, scripts: dict[str, Script] | None = None):
        self.clock, self.ids = SteppedClock(), CountedIds()
        self.database = Database(f"sqlite:///{folder / 'catalogue.db'}")
        self.table = SqlJobTable(self.database, self.clock)
        self.scripts: dict[str, Script] = scripts or {}
        self.names: dict[str, str] = {}
        self.runner = FakeRunner(self.clock, self.script)
        self.staging, self.sessions, self.environments = FakeStaging(), FakeSessions(), FakeEnvironments()
        self.folders = JobFolders(folder / "jobs")
        self.changes = Changes()
        self.capacity = capacity
        self.service = JobService(self.table, self.folders, self.environments, self.ids, self.changes)

    def script(self, attempt: Attempt) -> Script:
        return self.scripts.get(f"{self.names[attempt.job_id]}/{attempt.number}") or self.scripts.get(
            self.names[attempt.job_id], Script()
        )

    def work(self, **changed: Any) -> AttemptWork:
        work = AttemptWork(
            runner=self.runner,
            staging=self.staging,
            environments=self.environments,
            sessions=self.sessions,
            folders=self.folders,
            clock=self.clock,
            capacity=self.capacity,
            disk_reserve=0,
        )
        return replace(work, **changed)

    def controller(
        self,
        executor: Executor | None = None,
        table: Any = None,
        work: AttemptWork | None = None,
        on_error: Callable[[str, Exception], None] = raises,
    ) -> JobController:
        return JobController(
            table or self.table,
            work or self.work(),
            self.ids,
            self.clock,
            self.changes,
            executor or InlineExecutor(),
            Pace(),
            on_error,
        )

    def create(self, name: str, script: Script | None = None, **spec: Any) -> Job:
        if script is not None:
            self.scripts[name] = script
        new = NewJob("training", "sagemaker", "us-east-1", replace(SPEC, **spec), {}, name=name)
        job = self.service.create(new)
        self.names[job.id] = name
        return job

    def get(self, name: str) -> Job:
        return self.service.get(name)

    def run(self, controller: JobController, seconds: float = 60.0, step: float = 0.5) -> None:
        """Steps until every job has ended, or time is over."""
        for _ in range(int(seconds / step)):
            controller.step()
            if all(self.service.get(job_id).state in TERMINAL for job_id in self.names):
                return
            self.clock.step(step)

    def phases(self, name: str) -> list[str]:
        return [str(entry.phase) for entry in self.get(name).transitions]

    def close(self) -> None:
        self.database.close()
