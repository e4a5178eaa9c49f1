"""``aws s3`` and ``aws s3api`` as they come."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.clients.environments import program
from tests.contract.dialects.s3.server import S3Server

pytestmark = pytest.mark.clients


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a small file, a large one, and names that need care."""
    folder = tmp_path / "tree"
    (folder / "sub folder").mkdir(parents=True)
    (folder / "small.txt").write_text("small")
    (folder / "large.bin").write_bytes(os.urandom(20_000_000))
    (folder / "sub folder" / "ü+%.csv").write_text("1,2")
    return folder


def aws(environment: dict[str, str], *words: str, ok: bool = True) -> str:
    """Run the CLI; what it printed."""
    command = [program("awscli", "aws"), *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode == 0) is ok, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sync_cp_mv_and_rm(s3_environment: dict[str, str], tree: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        return aws(s3_environment, "s3", *words)

    run("mb", "s3://made")
    run("sync", str(tree), "s3://made/tree")
    assert run("sync", str(tree), "s3://made/tree").strip() == ""
    run("sync", "s3://made/tree", str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(tree)
    run("cp", "s3://made/tree", "s3://data/copy", "--recursive")
    run("cp", "s3://data/copy/large.bin", str(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == (tree / "large.bin").read_bytes()
    run("mv", "s3://data/copy/small.txt", "s3://data/moved.txt")
    listed = run("ls", "s3://data", "--recursive")
    assert "moved.txt" in listed
    assert "copy/small.txt" not in listed
    (tree / "small.txt").unlink()
    run("sync", str(tree), "s3://made/tree", "--delete")
    assert "small.txt" not in run("ls", "s3://made/tree/")
    run("rm", "s3://made", "--recursive")
    run("rb", "s3://made")
    assert "made" not in run("ls")


def test_a_stream_goes_in_and_out(s3_environment: dict[str, str]) -> None:
    body = os.urandom(9_000_000)
    command = [program("awscli", "aws"), "s3", "cp"]
    subprocess.run([*command, "-", "s3://data/piped"], input=body, env=s3_environment, check=True, timeout=120)
    out = subprocess.run(
        [*command, "s3://data/piped", "-"], env=s3_environment, check=True, timeout=120, capture_output=True
    )
    assert out.stdout == body


def test_presigned_and_checked(s3_environment: dict[str, str], s3_server: S3Server, tree: Path) -> None:
    run = s3_environment
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        for name in ("small.txt", "large.bin"):
            target = f"s3://data/{algorithm}/{name}"
            aws(run, "s3", "cp", str(tree / name), target, "--checksum-algorithm", algorithm)
            aws(run, "s3", "cp", target, str(tree / "again"), "--checksum-mode", "ENABLED")
            assert (tree / "again").read_bytes() == (tree / name).read_bytes()
    url = aws(run, "s3", "presign", "s3://data/SHA1/small.txt").strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"small"


def test_the_api_s_words(s3_environment: dict[str, str]) -> None:
    aws(s3_environment, "s3api", "wait", "bucket-exists", "--bucket", "data")
    assert "NoSuchBucket" in aws(s3_environment, "s3api", "list-objects-v2", "--bucket", "none", ok=False)
    assert "Not Found" in aws(s3_environment, "s3api", "head-object", "--bucket", "data", "--key", "none", ok=False)
