"""Artifacts as staging sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelyard.base.errors import NotFound
from modelyard.core.artifacts.inputs import ArtifactInputs
from modelyard.core.artifacts.model import BadLocation, TooLarge
from modelyard.core.artifacts.service import ArtifactService
from modelyard.core.jobs.ports import Inputs


@pytest.fixture
def inputs(artifacts: ArtifactService) -> Inputs:
    return ArtifactInputs(artifacts)


def store(inputs: Inputs, folder: Path, location: str, body: bytes) -> None:
    source = folder / "source"
    source.write_bytes(body)
    inputs.store(source, location)


def test_what_is_stored_is_fetched_and_read(inputs: Inputs, tmp_path: Path) -> None:
    body = os.urandom(300_000)
    store(inputs, tmp_path, "s3://data/out/model.tar.gz", b"first")
    store(inputs, tmp_path, "s3://data/out/model.tar.gz", body)
    inputs.fetch("s3://data/out/model.tar.gz", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == body
    assert inputs.read("s3://data/out/model.tar.gz", 300_000) == body
    with pytest.raises(TooLarge):
        inputs.read("s3://data/out/model.tar.gz", 299_999)


def test_a_prefix_is_raw_and_paged(inputs: Inputs, tmp_path: Path, artifacts: ArtifactService) -> None:
    for number in range(1001):
        with artifacts.put("data", f"in/{number:04d}") as writer:
            writer.write(b"x")
            writer.commit()
    store(inputs, tmp_path, "s3://data/input", b"12")
    found = list(inputs.keys("s3://data/in"))
    assert len(found) == 1002
    assert found[0] == ("in/0000", 1)
    assert found[-1] == ("input", 2)
    assert list(inputs.keys("s3://data/none")) == []


def test_what_is_not_there_is_said_and_leaves_nothing(inputs: Inputs, tmp_path: Path) -> None:
    for location, error in (
        ("s3://data/none", NotFound),
        ("s3://none/k", NotFound),
        ("file:///etc/passwd", BadLocation),
    ):
        with pytest.raises(error):
            inputs.fetch(location, tmp_path / "target")
        with pytest.raises(error):
            inputs.read(location, 10)
    with pytest.raises(NotFound):
        list(inputs.keys("s3://none/k"))
    assert not (tmp_path / "target").exists()


def test_a_fetch_never_follows_or_replaces(inputs: Inputs, tmp_path: Path) -> None:
    store(inputs, tmp_path, "s3://data/k", b"1")
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        inputs.fetch("s3://data/k", tmp_path / "link")
    assert (tmp_path / "victim").read_text() == "untouched"
