"""Kinds of jobs: what a job of each needs to run, one module a kind, which publishes it as ``KIND``.

Owns the value and the choice of a job's own staging. Refuses to know which kinds there are: they are found, ours in
this package and others' by entry points, and a kind is called what its module or entry point is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.errors import Invalid
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.jobs.model import Job
from modelyard.core.jobs.ports import Collected, Inputs, StagedJob, Staging


@dataclass(frozen=True, slots=True)
class JobKind:
    """Jobs of one kind share names and a container contract. ``staging`` makes what fills and reads out the folders of
    their attempts, for an account and limits on what archives unpack to."""

    staging: Callable[[Inputs, str, ArchiveLimits], Staging]


class StagingByKind:
    """The port Staging for jobs of every kind: each is handed to its own kind's."""

    def __init__(self, stagings: Mapping[str, Staging]) -> None:
        self._stagings = dict(stagings)

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob:
        """Also raises Invalid for a job of a kind that is here no more."""
        return self._of(job).stage(job, attempt_folder)

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
        """As ``stage``."""
        return self._of(job).collect(job, attempt_folder, failed)

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int:
        """As ``stage``."""
        return self._of(job).sync_checkpoints(job, attempt_folder)

    def _of(self, job: Job) -> Staging:
        if job.kind not in self._stagings:
            known = ", ".join(self._stagings)
            raise Invalid(what=f"no {job.kind} jobs run here, only these kinds: {known}; is a plug-in missing?")
        return self._stagings[job.kind]
