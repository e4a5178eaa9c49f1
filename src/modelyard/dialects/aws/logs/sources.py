"""Where logs come from: the groups of jobs and those of endpoints, as CloudWatch names them.

Owns the names of groups and streams. Refuses to know the operations on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from modelyard.base.errors import NotFound
from modelyard.base.paging import Listing, Page
from modelyard.core.deployments.model import Endpoint
from modelyard.core.deployments.service import DeploymentService
from modelyard.core.jobs.logs import Window
from modelyard.core.jobs.model import Job, JobQuery, LogPage, LogStream
from modelyard.core.jobs.service import JobService

ENDPOINTS = "/aws/sagemaker/Endpoints/"
TRAINING_JOBS = "/aws/sagemaker/TrainingJobs"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LogGroup:
    """A group; ``created`` is epoch seconds."""

    name: str
    created: float


class LogSource(Protocol):
    """A family of log groups.

    Only reads; thread-safe. A group that ``has`` answers for exists, with streams or without. Lines of a stream never
    change and come in order of time; ``read`` pages as ``core.jobs.logs.read_page`` does. ``streams`` and ``read``
    raise NotFound, for a stream too.
    """

    def has(self, group: str) -> bool: ...

    def groups(self, prefix: str) -> Iterator[LogGroup]: ...

    def streams(self, group: str, prefix: str, newest_first: bool) -> Iterator[LogStream]:
        """The streams whose names begin with ``prefix``, by the creation of what prints, else by its name."""
        ...

    def read(self, group: str, stream: str, window: Window) -> LogPage: ...


class JobLogs:
    """The one group of all jobs; its streams are ``<job>/<host>-<attempt>``."""

    def __init__(self, jobs: JobService, group: str = TRAINING_JOBS) -> None:
        self._jobs = jobs
        self._group = group

    def has(self, group: str) -> bool:
        return group == self._group

    def groups(self, prefix: str) -> Iterator[LogGroup]:
        if self._group.startswith(prefix):
            yield LogGroup(self._group, 0.0)

    def streams(self, group: str, prefix: str, newest_first: bool) -> Iterator[LogStream]:
        for job in self._matching(prefix, newest_first):
            yield from (stream for stream in self._jobs.log_streams(job) if stream.name.startswith(prefix))

    def read(self, group: str, stream: str, window: Window) -> LogPage:
        job = self._named(stream.partition("/")[0])
        if job is None:
            raise NotFound(kind="log stream", name=stream)
        return self._jobs.read_log(job, stream, window)

    def _matching(self, prefix: str, newest_first: bool) -> Iterator[Job]:
        name, slash, _ = prefix.partition("/")
        if slash:
            job = self._named(name)
            return iter(() if job is None else (job,))
        listing = _by(newest_first, name)
        return _each(lambda page: self._jobs.list(JobQuery(page, "training")), listing)

    def _named(self, name: str) -> Job | None:
        try:
            job = self._jobs.get(name)
        except NotFound:
            return None
        return job if job.name == name else None


class EndpointLogs:
    """A group for each endpoint; its streams are ``<variant>/<worker>``."""

    def __init__(self, deployments: DeploymentService) -> None:
        self._deployments = deployments

    def has(self, group: str) -> bool:
        return group.startswith(ENDPOINTS) and self._named(group) is not None

    def groups(self, prefix: str) -> Iterator[LogGroup]:
        name = prefix.removeprefix(ENDPOINTS) if prefix.startswith(ENDPOINTS) else ""
        if ENDPOINTS.startswith(prefix) or name:
            for endpoint in _each(self._deployments.list, _by(False, name)):
                if f"{ENDPOINTS}{endpoint.name}".startswith(prefix):
                    yield LogGroup(f"{ENDPOINTS}{endpoint.name}", endpoint.created)

    def streams(self, group: str, prefix: str, newest_first: bool) -> Iterator[LogStream]:
        found = [stream for stream in self._deployments.log_streams(self._get(group)) if stream.name.startswith(prefix)]
        yield from reversed(found) if newest_first else sorted(found, key=lambda stream: stream.name)

    def read(self, group: str, stream: str, window: Window) -> LogPage:
        return self._deployments.read_log(self._get(group), stream, window)

    def _get(self, group: str) -> Endpoint:
        endpoint = self._named(group)
        if endpoint is None:
            raise NotFound(kind="log group", name=group)
        return endpoint

    def _named(self, group: str) -> Endpoint | None:
        name = group.removeprefix(ENDPOINTS)
        try:
            endpoint = self._deployments.get(name)
        except NotFound:
            return None
        return endpoint if endpoint.name == name else None


def _by(newest_first: bool, name: str) -> Listing:
    if newest_first:
        return Listing(name_contains=name or None, limit=100)
    return Listing(name_contains=name or None, sort_by="name", order="ascending", limit=100)


def _each(pages: Callable[[Listing], Page[T]], listing: Listing) -> Iterator[T]:
    """Every item of a listing, page by page."""
    while True:
        page = pages(listing)
        yield from page.items
        if page.next is None:
            return
        listing = replace(listing, after=page.next)
