"""Blob stores under their contract, and the order in which files become durable."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from modelyard.base.disk import RealDisk
from modelyard.base.errors import OutOfSpace
from modelyard.core.artifacts.ports import BlobStore
from modelyard.stores.objects import files
from modelyard.stores.objects.files import FileBlobStore
from modelyard.testing.blobs_kit import BLOB, BlobStoreKit, RecordingDisk


class TestFiles(BlobStoreKit):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return FileBlobStore(tmp_path / "blobs", RealDisk(), reserve=0)


def test_bytes_are_flushed_before_the_name_and_the_folder_after(tmp_path: Path) -> None:
    disk = RecordingDisk()
    blobs = FileBlobStore(tmp_path / "blobs", disk, reserve=0)
    disk.steps.clear()
    writer = blobs.create(BLOB, None)
    writer.write(b"x" * 10)
    writer.commit()
    assert disk.steps == [("sync", BLOB, 10), ("replace", BLOB, 10), ("sync_folder", "ab", 0)]


def test_the_folders_themselves_are_flushed_when_they_are_made(tmp_path: Path) -> None:
    disk = RecordingDisk()
    FileBlobStore(tmp_path / "blobs", disk, reserve=0)
    assert [name for step, name, _ in disk.steps if step == "sync_folder"] == ["blobs", tmp_path.name]
    assert (tmp_path / "blobs").stat().st_mode & 0o077 == 0


def test_a_failed_flush_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    def fail(step: str) -> None:
        if step == "sync":
            raise OSError("disk on fire")

    disk = RecordingDisk()
    blobs = FileBlobStore(tmp_path / "blobs", disk, reserve=0)
    disk.fail = fail
    writer = blobs.create(BLOB, 1)
    writer.write(b"x")
    with pytest.raises(OSError, match="fire"):
        writer.commit()
    writer.abort()
    assert list(blobs.ids()) == []


def test_bytes_promised_to_one_writer_are_not_promised_to_another(tmp_path: Path) -> None:
    probe = FileBlobStore(tmp_path / "blobs", RealDisk(), reserve=0)
    free = _free(tmp_path)
    half = free * 6 // 10
    first = probe.create(BLOB, half)
    with pytest.raises(OutOfSpace):
        probe.create(BLOB.replace("ab", "cd"), half)
    first.abort()
    probe.create(BLOB.replace("ab", "cd"), half).abort()


def test_a_disk_that_fills_up_meanwhile_names_the_reserve_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    blobs = FileBlobStore(tmp_path / "blobs", RealDisk(), reserve=7)
    writer = blobs.create(BLOB, None)
    monkeypatch.setattr(files, "write_all", full)
    with pytest.raises(OutOfSpace, match="less than 7 bytes"):
        writer.write(b"x")
    writer.abort()


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
