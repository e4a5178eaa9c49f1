"""What doors do with jobs: create, look up, list, stop, delete, read logs and metrics.

Owns names, look-up and what a door may ask. Refuses to know how jobs run (controller.py) and how a door words
them. Every call that changes something is on disk when it returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from modelyard.base.changes import Changes
from modelyard.base.errors import AlreadyExists, Invalid, MissingExtra, NotFound
from modelyard.base.ids import Ids, is_id, wire_name
from modelyard.base.paging import Listing, Page
from modelyard.core.jobs import logs, points
from modelyard.core.jobs.folders import JobFolders
from modelyard.core.jobs.logs import FROM_START, Window
from modelyard.core.jobs.model import Job, JobQuery, JobState, LogPage, LogStream, Metric, NewJob, Phase
from modelyard.core.jobs.ports import Environments
from modelyard.core.jobs.states import TERMINAL
from modelyard.core.jobs.table import Amend, AttemptRecord, JobTable


class JobService:
    """Thread-safe."""

    def __init__(
        self, table: JobTable, folders: JobFolders, environments: Environments, ids: Ids, changes: Changes
    ) -> None:
        self._table = table
        self._folders = folders
        self._environments = environments
        self._ids = ids
        self._changes = changes

    def create(self, new: NewJob) -> Job:
        """The job as stored, on disk with its tags.

        A job whose image no environment answers for is kept as failed at once, with the reason. Raises
        AlreadyExists for a name that is taken, letter case ignored.
        """
        while True:
            job = self._new(new)
            try:
                job = self._table.create(job, new.tags, f"Starting the {new.kind} job")
            except AlreadyExists:
                if new.name is not None:
                    raise
                continue  # another door took the derived name between the look and the write
            self._changes.tell()
            return job

    def get(self, id_or_name: str, kind: str | None = "training") -> Job:
        """The job of that id, else of that exact name, of a kind (None: of any; of several with one name the newest).
        Raises NotFound."""
        if is_id(id_or_name):
            with suppress(NotFound):
                job = self._table.get(id_or_name)
                if kind in (None, job.kind):
                    return job
        if kind is not None:
            return self._table.find(id_or_name, kind)
        return self._newest(id_or_name)

    def list(self, query: JobQuery) -> Page[Job]:
        """One page of jobs."""
        return self._table.list(query)

    def amend(self, id_or_name: str, amended: Amend, kind: str = "training") -> Job:
        """Replace the document that a door keeps with its job by what ``amended`` makes of the job as it is; nothing
        that decides how the job runs. Raises NotFound, and what ``amended`` raises; then nothing has changed."""
        return self._table.amend(self.get(id_or_name, kind).id, amended)

    def stop(self, id_or_name: str, kind: str = "training") -> Job:
        """Ask a job to end: it is ``stopping`` when this returns. Raises NotFound; Conflict when it has ended."""
        job = self._table.request_stop(self.get(id_or_name, kind).id, f"Stopping the {kind} job")
        self._changes.tell()
        return job

    def delete(self, id_or_name: str, kind: str = "training") -> None:
        """Forget an ended job, its logs and metrics; what it stored in buckets stays. Raises NotFound; Conflict
        while it has not ended."""
        job = self.get(id_or_name, kind)
        self._table.delete(job.id)
        self._changes.tell()
        self._folders.remove(job.id)

    def log_streams(self, job: Job) -> tuple[LogStream, ...]:
        """One stream for each host and attempt, in order of attempt and host; they are there from creation on."""
        return tuple(self._stream(job, attempt, host) for attempt, host in self._shown(job))

    def read_log(self, job: Job, stream: str, window: Window = FROM_START) -> LogPage:
        """Lines of one of the job's streams. Raises NotFound for another stream."""
        for attempt, host in self._shown(job):
            if _stream_name(job, attempt, host) == stream:
                return logs.read_page(self._log(job, attempt, host), window)
        raise NotFound(kind="log stream", name=stream)

    def metrics(self, job: Job, name: str | None = None) -> tuple[Metric, ...]:
        """All points of a metric (None: of every one), oldest first; of a running job those until now."""
        if job.state in TERMINAL:
            return self._table.metrics(job.id, name)
        folder = self._folders.attempt(job.id, job.attempt)
        return tuple(point for point in points.read(folder, job.spec.resources.hosts) if name in (None, point.name))

    def usage(self, job: Job, host: str) -> tuple[Metric, ...]:
        """What a host of the job used in all its attempts, oldest first; nothing for a host that it does not have."""
        if host not in job.spec.resources.hosts:
            return ()
        attempts = (self._folders.attempt(job.id, number) for number in range(1, job.attempt + 1))
        return tuple(point for folder in attempts for point in points.usage(folder, host))

    def _newest(self, name: str) -> Job:
        listing = Listing(name_contains=name, limit=100)
        while True:
            page = self._table.list(JobQuery(listing))
            for job in page.items:
                if job.name == name:
                    return job
            if page.next is None:
                raise NotFound(kind="job", name=name)
            listing = replace(listing, after=page.next)

    def _new(self, new: NewJob) -> Job:
        job_id, reason = self._ids.new_id(), self._refusal(new.spec.image)
        return Job(
            id=job_id,
            name=new.name or wire_name(new.display_name, job_id, lambda name: self._table.is_taken(name, new.kind)),
            kind=new.kind,
            door=new.door,
            region=new.region,
            spec=new.spec,
            document=new.document,
            state=JobState.FAILED if reason else JobState.QUEUED,
            phase=Phase.FAILED if reason else Phase.STARTING,
            created=0.0,
            modified=0.0,
            failure_reason=reason,
        )

    def _refusal(self, image: str) -> str | None:
        try:
            self._environments.resolve(image)
        except (Invalid, MissingExtra) as error:
            return error.message
        return None

    def _shown(self, job: Job) -> Iterator[tuple[AttemptRecord, str]]:
        """The attempts that have streams: the last of each epoch, and before the first attempt a silent one."""
        attempts = {attempt.epoch: attempt for attempt in self._table.attempts(job.id)}
        waiting = AttemptRecord("", 0, logs.first_epoch(job), job.created)
        for attempt in attempts.values() or (waiting,):
            for host in job.spec.resources.hosts:
                yield attempt, host

    def _stream(self, job: Job, attempt: AttemptRecord, host: str) -> LogStream:
        first, last, size = logs.span(self._log(job, attempt, host))
        return LogStream(_stream_name(job, attempt, host), host, attempt.created, first, last, size)

    def _log(self, job: Job, attempt: AttemptRecord, host: str) -> Path:
        return logs.log_file(self._folders.attempt(job.id, attempt.number), host)


def _stream_name(job: Job, attempt: AttemptRecord, host: str) -> str:
    return f"{job.name}/{host}-{attempt.epoch}"
