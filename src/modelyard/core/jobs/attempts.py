"""The long work of an attempt: stage and start it, collect what it left, free what it holds.

Owns the order of these steps. Refuses to know leases and states: the controller runs this in worker threads
and writes what came of it. Everything here may be cut off at any point and begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.clock import Clock
from modelyard.core.jobs import outcomes
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.model import Job
from modelyard.core.jobs.ports import Attempt, Collected, Environments, Runner, SessionIssuer, StagedJob, Staging
from modelyard.core.jobs.scheduling import Capacity, share
from modelyard.core.jobs.table import AttemptRecord

AFTERWARDS = 60.0
"""Seconds that credentials stay valid past deadline and grace, should nobody end them before."""


@dataclass(frozen=True, slots=True)
class AttemptWork:
    """Thread-safe. ``disk_reserve`` is the bytes that stay free: below them no attempt is staged."""

    runner: Runner
    staging: Staging
    environments: Environments
    sessions: SessionIssuer
    folders: JobFolders
    clock: Clock
    capacity: Capacity
    disk_reserve: int

    def begin(self, job: Job, record: AttemptRecord, may_start: Callable[[], bool]) -> None:
        """Stage, then start the user's code if ``may_start`` still says so; else leave quietly.

        Raises what staging and environments raise, OutOfSpace, OSError.
        """
        self.folders.check_room(self.disk_reserve)
        environment = self.environments.resolve(job.spec.image)
        folder = self.folders.make(job.id, record.number)  # before may_start: a deleted job's is not made anew and run
        staged = self.staging.stage(job, folder)
        (folder / "log").mkdir(exist_ok=True)
        log = folder / "log" / f"{job.spec.resources.hosts[0]}.log"
        interpreter = self.environments.prepare(environment, staged.requirements, log)
        ends = outcomes.deadline(job, self.clock.now())
        secrets = self._credentials(job, record, ends)
        if may_start():
            self.runner.start(self._attempt(job, record, staged, interpreter, secrets, ends))
        else:
            self.sessions.revoke(record.id)

    def collect(self, job: Job, record: AttemptRecord, failed: bool) -> Collected:
        """Store what an ended attempt left; of one that failed no model."""
        return self.staging.collect(job, self.folders.attempt(job.id, record.number), failed)

    def sync(self, job: Job, record: AttemptRecord) -> None:
        """Store the checkpoints of a running attempt."""
        self.staging.sync_checkpoints(job, self.folders.attempt(job.id, record.number))

    def tidy(self, job_id: str, records: Iterable[AttemptRecord]) -> None:
        """Free what the attempts of an ended job hold, and end their credentials."""
        for record in records:
            self.sessions.revoke(record.id)
            self.runner.remove(self.folders.attempt(job_id, record.number))

    def _credentials(self, job: Job, record: AttemptRecord, ends: float) -> Mapping[str, str]:
        if not job.spec.network or job.spec.principal is None:
            return {}
        lifetime = ends + job.spec.stop_grace + AFTERWARDS - self.clock.now()
        return self.sessions.issue(job.spec.principal, record.id, lifetime)

    def _attempt(
        self,
        job: Job,
        record: AttemptRecord,
        staged: StagedJob,
        interpreter: Path,
        secrets: Mapping[str, str],
        ends: float,
    ) -> Attempt:
        part = share(self.capacity, job.spec.resources)
        return Attempt(
            id=record.id,
            job_id=job.id,
            number=record.number,
            folder=self.folders.attempt(job.id, record.number),
            hosts=job.spec.resources.hosts,
            command=tuple(word.replace("{python}", str(interpreter)) for word in staged.command),
            variables={**job.spec.variables, **staged.variables},
            secrets=secrets,
            cpus=part.cpus,
            memory=part.memory,
            deadline=ends,
            grace=job.spec.stop_grace,
            network=job.spec.network,
            readable=(*staged.readable, interpreter.parent.parent),
            fixed_paths=bool(job.spec.entrypoint),
        )
