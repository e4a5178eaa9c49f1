"""The small things around jobs, for unit tests: staging, environments, sessions, an executor without threads.

None of them touches SQL: the table of jobs is used for real. Each is told what to do and remembers what was
asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.base.errors import Invalid
from modelyard.core.jobs.model import Job, Metric
from modelyard.core.jobs.ports import Collected, StagedJob


@dataclass(slots=True)
class FakeStaging:
    """``fault`` is raised by ``stage``, ``left`` is what ``collect`` finds."""

    left: Collected = field(default_factory=lambda: Collected("s3://bucket/out/model.tar.gz"))
    fault: Exception | None = None
    collect_fault: Exception | None = None
    staged: list[str] = field(default_factory=list)
    collected: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Jobs that were collected as failed."""
    synced: list[str] = field(default_factory=list)

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob:
        self.staged.append(job.id)
        if self.fault is not None:
            raise self.fault
        return StagedJob(("{python}", "-m", "worker", "{host}"), {"TRAINING_JOB_NAME": job.name})

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
        self.collected.append(job.id)
        self.failed += [job.id] if failed else []
        if self.collect_fault is not None:
            raise self.collect_fault
        return self.left

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int:
        self.synced.append(job.id)
        return 1


@dataclass(slots=True)
class FakeEnvironments:
    """Answers for every image but those that end in ``unknown``, always with the same interpreter."""

    interpreter: Path = Path("/environments/base/bin/python")

    def resolve(self, image: str) -> str:
        if image.endswith("unknown"):
            raise Invalid(what=f"no environment answers for image {image!r}; these would do: sklearn, xgboost")
        return "base"

    def prepare(self, environment: str, requirements: Path | None, log: Path) -> Path:
        return self.interpreter


@dataclass(slots=True)
class FakeSessions:
    """Remembers who has credentials."""

    valid: set[str] = field(default_factory=set)
    issued: list[tuple[str, str]] = field(default_factory=list)

    def issue(self, principal: str, attempt_id: str, lifetime: float) -> Mapping[str, str]:
        self.issued.append((principal, attempt_id))
        self.valid.add(attempt_id)
        return {"AWS_ACCESS_KEY_ID": f"ASIA-{attempt_id}"}

    def revoke(self, attempt_id: str) -> None:
        self.valid.discard(attempt_id)


class InlineExecutor(Executor):
    """Runs each task at once, in the caller's thread. What is no Exception (a test's crash) passes through."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor hands every error to the future
            done.set_exception(error)
        return done


class HeldExecutor(Executor):
    """Keeps tasks until ``run`` is called, so that a test can act while they are under way."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        self._waiting.append((done, lambda: fn(*args, **kwargs)))
        return done

    def run(self) -> None:
        """Do all that waits."""
        waiting, self._waiting = self._waiting, []
        for done, task in waiting:
            result = InlineExecutor().submit(task)
            error = result.exception()
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result.result())


def points(*values: float, name: str = "loss") -> tuple[Metric, ...]:
    """Metric points a second apart."""
    return tuple(Metric(name, value, float(at)) for at, value in enumerate(values))
