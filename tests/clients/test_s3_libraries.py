"""s3fs and obstore, each in its own environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import program
from tests.contract.dialects.s3.server import S3Server

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("client", ["s3fs", "obstore"])
def test_a_library_s_own_story(client: str, s3_environment: dict[str, str], s3_server: S3Server) -> None:
    script = Path(__file__).with_name(f"{client}_program.py")
    ended = subprocess.run(
        [program(client, "python"), str(script)],
        env=s3_environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stdout.strip() == "done", ended.stderr
