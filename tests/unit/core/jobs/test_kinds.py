"""Kinds of jobs: each job is staged by its own kind's, and one of a kind that is gone says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.base.errors import Invalid
from modelyard.core.jobs.kinds import StagingByKind
from modelyard.core.jobs.model import Job, JobSpec, JobState, Phase, Resources
from modelyard.core.jobs.ports import Collected, StagedJob

JOB = Job(
    "id", "name", "training", "sagemaker", "r", JobSpec("image", Resources("ml.m5.large")), {}, JobState.STARTING,
    Phase.DOWNLOADING, 0, 0,
)  # fmt: skip


class Named:
    """A staging that says whose it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob:
        return StagedJob((self._name,), {})

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
        return Collected(failure=self._name)

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int:
        return len(self._name)


def test_a_job_is_staged_and_read_out_by_its_own_kind(tmp_path: Path) -> None:
    staging = StagingByKind({"training": Named("t"), "processing": Named("pp")})
    processing = replace(JOB, kind="processing")
    assert staging.stage(JOB, tmp_path).command == ("t",)
    assert staging.stage(processing, tmp_path).command == ("pp",)
    assert staging.collect(processing, tmp_path).failure == "pp"
    assert staging.sync_checkpoints(processing, tmp_path) == 2


def test_a_kind_that_is_gone_is_named_with_those_there_are(tmp_path: Path) -> None:
    staging = StagingByKind({"training": Named("t")})
    with pytest.raises(Invalid, match="no transform jobs run here, only these kinds: training"):
        staging.stage(replace(JOB, kind="transform"), tmp_path)
