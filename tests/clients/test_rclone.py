"""rclone as an S3 client: sync, check, listings, ranges."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import program
from tests.contract.dialects.s3.server import KEY, S3Server

pytestmark = pytest.mark.clients


@pytest.fixture
def rclone_environment(s3_environment: dict[str, str], s3_server: S3Server) -> dict[str, str]:
    return s3_environment | {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_YARD_TYPE": "s3",
        "RCLONE_CONFIG_YARD_PROVIDER": "Other",
        "RCLONE_CONFIG_YARD_ENDPOINT": s3_server.url,
        "RCLONE_CONFIG_YARD_REGION": "us-east-1",
        "RCLONE_CONFIG_YARD_ACCESS_KEY_ID": KEY.access_key,
        "RCLONE_CONFIG_YARD_SECRET_ACCESS_KEY": KEY.secret,
        "RCLONE_S3_UPLOAD_CUTOFF": "10M",
        "RCLONE_S3_CHUNK_SIZE": "5M",
    }


def rclone(environment: dict[str, str], *words: str) -> str:
    """Run it; what it printed."""
    command = [program("rclone", "rclone"), *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_sync_check_move_and_purge(rclone_environment: dict[str, str], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "small ü+%.txt").write_text("small")
    (tree / "a" / "b" / "large").write_bytes(os.urandom(23_000_000))
    (tree / "empty").write_text("")

    def run(*words: str) -> str:
        return rclone(rclone_environment, *words)

    run("mkdir", "yard:made")
    run("sync", str(tree), "yard:made/tree")
    run("check", str(tree), "yard:made/tree", "--download")
    run("check", str(tree), "yard:made/tree")
    listed = run("lsf", "-R", "--files-only", "yard:made").splitlines()
    assert sorted(listed) == ["tree/a/b/large", "tree/a/small ü+%.txt", "tree/empty"]
    run("copy", "yard:made/tree", "yard:data/copy")
    run("check", "yard:made/tree", "yard:data/copy")
    run("moveto", "yard:data/copy/empty", "yard:data/moved")
    run("sync", "yard:data/copy/a", str(tmp_path / "back"))
    run("check", str(tree / "a"), str(tmp_path / "back"))
    run("purge", "yard:made")
    assert run("lsd", "yard:").split()[-1] == "data"
