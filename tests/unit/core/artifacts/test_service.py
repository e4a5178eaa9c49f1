"""The law of artifacts: nothing shows before its commit, and no blob goes while someone needs it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from modelyard.base.errors import NotFound
from modelyard.core.artifacts.model import Condition, PreconditionFailed, ReadOnlyBucket, TooLarge
from modelyard.core.artifacts.service import ArtifactService
from modelyard.stores.objects.files import FileBlobStore


def put(artifacts: ArtifactService, key: str, body: bytes, **fields: Any) -> str:
    """Store an object; its generation."""
    with artifacts.put("data", key, **fields) as writer:
        for start in range(0, len(body), 999):
            writer.write(body[start : start + 999])
        return writer.commit().generation


def get(artifacts: ArtifactService, key: str, start: int = 0, length: int | None = None) -> bytes:
    with artifacts.open("data", key, start, length) as reader:
        return b"".join(reader)


def kept(blobs: FileBlobStore) -> int:
    return len(list(blobs.ids()))


@pytest.mark.parametrize("size", [0, 1, 100, 101, 5000])
@pytest.mark.parametrize("stated", [True, False])
def test_small_bodies_need_no_file(artifacts: ArtifactService, blobs: FileBlobStore, size: int, stated: bool) -> None:
    body = os.urandom(size)
    put(artifacts, "k", body, size=size if stated else None)
    assert get(artifacts, "k") == body
    assert get(artifacts, "k", 3, 10) == body[3:13]
    assert get(artifacts, "k", size + 5) == b""
    assert kept(blobs) == (size > 100)


def test_what_is_not_committed_leaves_nothing(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    with artifacts.put("data", "k") as writer:
        writer.write(b"x" * 5000)
    with pytest.raises(NotFound):
        artifacts.head("data", "k")
    with pytest.raises(RuntimeError), artifacts.put("data", "k") as writer:
        writer.write(b"x" * 5000)
        raise RuntimeError
    assert kept(blobs) == 0


def test_a_condition_that_fails_leaves_nothing(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    put(artifacts, "k", b"1" * 500)
    with artifacts.put("data", "k") as writer, pytest.raises(PreconditionFailed):
        writer.write(b"2" * 500)
        writer.commit(condition=Condition(absent=True))
    assert get(artifacts, "k") == b"1" * 500
    assert kept(blobs) == 1


def test_a_limit_is_kept_however_the_length_is_told(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    with pytest.raises(TooLarge):
        artifacts.put("data", "k", size=1_000_001)
    with artifacts.put("data", "k") as writer, pytest.raises(TooLarge):
        writer.write(b"x" * 1_000_000)
        writer.write(b"x")
    assert kept(blobs) == 0


def test_a_reader_keeps_what_it_reads(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    put(artifacts, "k", b"1" * 5000)
    with artifacts.open("data", "k") as reader:
        put(artifacts, "k", b"2" * 5000)
        artifacts.delete("data", "k")
        artifacts.sweep()
        assert b"".join(reader) == b"1" * 5000
    assert kept(blobs) == 0


def test_a_copy_outlives_its_source(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    put(artifacts, "from", b"1" * 5000)
    artifacts.copy(artifacts.head("data", "from"), "data", "to")
    artifacts.delete("data", "from")
    assert artifacts.sweep() == 0
    assert get(artifacts, "to") == b"1" * 5000
    artifacts.delete("data", "to")
    assert kept(blobs) == 0


def test_a_sweep_takes_what_crashes_left_and_nothing_else(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    put(artifacts, "k", b"1" * 5000)
    orphan = blobs.create("00000000-0000-4000-8000-0000000000ee", None)
    orphan.write(b"committed, but the row was never written")
    orphan.commit()
    blobs.create("00000000-0000-4000-8000-0000000000ff", None).write(b"half-written")
    with artifacts.put("data", "slow") as writer:
        writer.write(b"2" * 5000)
        assert artifacts.sweep() == 2
        writer.commit()
    assert get(artifacts, "slow") == b"2" * 5000
    assert get(artifacts, "k") == b"1" * 5000


def test_sweeps_never_race_writes_and_readers(artifacts: ArtifactService, blobs: FileBlobStore) -> None:
    ended = threading.Event()
    failures: list[BaseException] = []

    def run(work: Any) -> threading.Thread:
        def loop() -> None:
            try:
                while not ended.is_set():
                    work()
            except BaseException as error:  # noqa: BLE001 - shown by the assertion below
                failures.append(error)

        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    def write() -> None:
        number = os.urandom(1)
        put(artifacts, f"k{number[0] % 3}", number * 3000)

    def read() -> None:
        try:
            body = get(artifacts, "k1")
        except NotFound:
            return
        assert body == body[:1] * 3000

    def drop() -> None:
        artifacts.delete("data", "k1")

    def share() -> None:
        try:
            artifacts.copy(artifacts.head("data", "k2"), "data", "k1")
        except NotFound:
            return

    threads = [run(work) for work in (write, write, read, read, drop, share, artifacts.sweep)]
    ended.wait(1.5)
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
    named = [found.key for found in artifacts.list_objects("data").objects]
    bodies = {key: get(artifacts, key) for key in named}
    artifacts.sweep()
    assert {key: get(artifacts, key) for key in named} == bodies
    assert kept(blobs) <= len(named)


def test_the_models_bucket_has_one_writer(artifacts: ArtifactService) -> None:
    with pytest.raises(ReadOnlyBucket):
        artifacts.put("modelyard-models", "k")
    with artifacts.put("modelyard-models", "k", owner=True) as writer:
        writer.commit()
    with pytest.raises(ReadOnlyBucket):
        artifacts.delete("modelyard-models", "k")
    artifacts.delete("modelyard-models", "k", owner=True)


def test_default_buckets_are_made_where_the_sdk_expects_them(artifacts: ArtifactService) -> None:
    assert artifacts.head_bucket("sagemaker-ap-south-1-123456789012").region == "ap-south-1"
    for name in ("sagemaker-x-1", "other", "sagemaker-us-east-1-12"):
        with pytest.raises(NotFound):
            artifacts.head_bucket(name)


def test_the_blobs_folder_is_private(artifacts: ArtifactService, tmp_path: Path) -> None:
    put(artifacts, "k", b"1" * 5000)
    for path in (tmp_path / "blobs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
