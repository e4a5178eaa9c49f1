"""An S3 server, and the environment in which clients find it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.dialects.s3.server import KEY, S3Server


@pytest.fixture
def s3_server(tmp_path: Path) -> Iterator[S3Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    with S3Server(folder) as server:
        server.client().create_bucket(Bucket="data")
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, tmp_path: Path) -> dict[str, str]:
    """Variables that are all that a client is told."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_ACCESS_KEY_ID": KEY.access_key,
        "AWS_SECRET_ACCESS_KEY": KEY.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
