"""A variant's files are on disk before they are there, since whoever finds them trusts them for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.core.deployments.model import Plan, PlannedVariant
from modelyard.core.deployments.staging import ModelStaging
from modelyard.testing.blobs_kit import RecordingDisk

from .world import FakeEnvironments, FakeInputs, unpack

PLAN = Plan("c1", 1, (PlannedVariant("A", "m1", "image", "s3://bucket/1.tar.gz", {}, "ml.m5.large", 1, 1.0),))


def staging(disk: RecordingDisk) -> ModelStaging:
    return ModelStaging(FakeInputs(), FakeEnvironments(), unpack, disk)  # type: ignore[arg-type]


def test_the_model_is_flushed_before_its_name_and_its_parents_after(tmp_path: Path) -> None:
    disk = RecordingDisk()
    staging(disk).stage(tmp_path / "endpoint", PLAN)
    (flushed, made, _), *later = disk.steps
    assert flushed == "sync_tree" and made.startswith(".1-0.")
    assert [step[:2] for step in later] == [
        ("replace", "1-0"),
        ("sync_folder", "models"),
        ("sync_folder", "endpoint"),
    ]
    disk.steps.clear()
    staging(disk).stage(tmp_path / "endpoint", PLAN)
    assert disk.steps == []


@pytest.mark.parametrize("step", ["sync_tree", "replace"])
def test_a_failed_flush_leaves_nothing_to_trust(tmp_path: Path, step: str) -> None:
    def fail(at: str) -> None:
        if at == step:
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="fire"):
        staging(RecordingDisk(fail)).stage(tmp_path, PLAN)
    assert list((tmp_path / "models").iterdir()) == []
