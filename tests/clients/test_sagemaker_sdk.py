"""The SageMaker SDKs in a shell that sourced `modelyard env`: what they ask AWS for by themselves is answered here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer
from tests.clients.environments import program

pytestmark = pytest.mark.clients
PROGRAM = Path(__file__).with_name("sdk_program.py")
OTHERS = {"AWS_SESSION_TOKEN": "stale", "AWS_PROFILE": "work", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"}
"""What a shell of somebody who works with AWS may hold."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("sdk") / "data", settings={"ACCOUNT_ID": "123456789012"}) as running:
        yield running


@pytest.mark.parametrize("version", [2, 3])
def test_a_shell_that_sourced_env_needs_nothing_of_aws(server: RunningServer, tmp_path: Path, version: int) -> None:
    env = f'eval "$({sys.executable} -m modelyard env --data-dir {server.data_dir})"'
    command = f"{env} && exec {program(f'sdk{version}', 'python')} {PROGRAM} {version}"
    run = subprocess.run(
        ["bash", "-c", command],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MODELYARD_ACCOUNT_ID": "123456789012", **OTHERS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {
        "account": "123456789012",
        "role": "arn:aws:iam::123456789012:role/ModelyardRole",
        "bucket": "sagemaker-us-east-1-123456789012",
        "region": "us-east-1",
        "remote image": "modelyard/script:1",
        "telemetry": False,
        "scan": ["us-east-1", server.url],
        "left": [],
    }
