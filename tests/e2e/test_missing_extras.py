"""An installation without the extras says what is missing, and the line that mends it, wherever it is missed."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer
from tests.e2e.conftest import Journey
from tests.e2e.test_journeys import PYTORCH, XGBOOST

EXTRAS = {"xgboost": XGBOOST, "torch": PYTORCH}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds what ours does, but for the extras."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(tuple(EXTRAS)) and not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def bare(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        server = RunningServer(tmp_path_factory.mktemp("bare") / "data").start()
    yield server
    server.stop()


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_job_fails_with_the_line_that_mends_it(bare: RunningServer, extra: str) -> None:
    journey = Journey(bare)
    journey.start_training(EXTRAS[extra], journey.upload_source("print('never')"))
    job = journey.wait(30)
    assert job["TrainingJobStatus"] == "Failed"
    assert f"needs {extra}, which is not installed: pip install 'modelyard[{extra}]'" in job["FailureReason"]
    assert journey.log() == []


def test_an_endpoint_fails_with_it_too(bare: RunningServer) -> None:
    journey = Journey(bare)
    endpoint = journey.deploy(XGBOOST, journey.upload("model.tar.gz", b""), "")
    assert endpoint["EndpointStatus"] == "Failed"
    assert "pip install 'modelyard[xgboost]'" in endpoint["FailureReason"]
    journey.delete_endpoint()


def test_doctor_names_them(python: Path) -> None:
    run = subprocess.run([python, "-m", "modelyard", "doctor", "--json"], capture_output=True, text=True, check=False)
    found = {finding["what"]: json.dumps(finding) for finding in json.loads(run.stdout)}
    for extra in EXTRAS:
        assert f"pip install 'modelyard[{extra}]'" in found[f"extra {extra}"]
