"""The contract of ``core.artifacts.ports.BlobStore``, to be subclassed for each implementation.

The prose of that module is the law; each test here is one sentence of it. ``RecordingDisk`` shows the order in
which a store writes, flushes and renames: a killed process keeps the page cache and would hide a missing flush.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.base.disk import RealDisk
from modelyard.base.errors import NotFound, OutOfSpace
from modelyard.core.artifacts.ports import BlobStore

BLOB = "00000000-0000-4000-8000-0000000000ab"
OTHER = "00000000-0000-4000-8000-0000000000cd"


class RecordingDisk(RealDisk):
    """The machine's disk, with a record of what was flushed and renamed; ``fail`` may raise in place of any step."""

    def __init__(self, fail: Callable[[str], None] = lambda step: None) -> None:
        self.steps: list[tuple[str, str, int]] = []
        self.fail = fail

    def sync(self, fd: int) -> None:
        self.fail("sync")
        self.steps.append(("sync", Path(f"/proc/self/fd/{fd}").readlink().name, os.fstat(fd).st_size))
        super().sync(fd)

    def replace(self, source: Path, target: Path) -> None:
        self.fail("replace")
        self.steps.append(("replace", target.name, source.stat().st_size))
        super().replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self.fail("sync_folder")
        self.steps.append(("sync_folder", folder.name, 0))
        super().sync_folder(folder)

    def sync_tree(self, folder: Path) -> None:
        self.fail("sync_tree")
        self.steps.append(("sync_tree", folder.name, 0))
        super().sync_tree(folder)


class BlobStoreKit:
    """Subclasses give a fixture ``blobs``: an empty store with room on its disk."""

    def write(self, blobs: BlobStore, blob: str, content: bytes, expected: int | None = None) -> None:
        writer = blobs.create(blob, expected)
        for start in range(0, len(content), 7):
            writer.write(memoryview(content)[start : start + 7])
        writer.commit()

    def read(self, blobs: BlobStore, blob: str, start: int = 0, size: int = 1 << 30) -> bytes:
        reader = blobs.open(blob, start, size)
        parts = iter(lambda: reader.read(5), b"")
        content = b"".join(parts)
        reader.close()
        return content

    def test_what_is_committed_is_read_back_in_any_range(self, blobs: BlobStore) -> None:
        content = os.urandom(100)
        self.write(blobs, BLOB, content, 100)
        assert self.read(blobs, BLOB) == content
        assert self.read(blobs, BLOB, 10, 20) == content[10:30]
        assert self.read(blobs, BLOB, 99, 20) == content[99:]
        assert self.read(blobs, BLOB, 100, 20) == b""

    def test_a_blob_may_be_empty(self, blobs: BlobStore) -> None:
        self.write(blobs, BLOB, b"")
        assert self.read(blobs, BLOB) == b""

    def test_nothing_is_there_before_the_commit(self, blobs: BlobStore) -> None:
        writer = blobs.create(BLOB, 10)
        writer.write(b"x" * 10)
        with pytest.raises(NotFound):
            blobs.open(BLOB, 0, 1)
        writer.commit()
        assert self.read(blobs, BLOB) == b"x" * 10

    def test_an_abort_leaves_nothing_and_is_harmless_after_a_commit(self, blobs: BlobStore) -> None:
        writer = blobs.create(BLOB, 10)
        writer.write(b"x")
        writer.abort()
        writer.abort()
        assert list(blobs.ids()) == []
        kept = blobs.create(OTHER, 1)
        kept.write(b"y")
        kept.commit()
        kept.abort()
        assert self.read(blobs, OTHER) == b"y"

    def test_what_a_crash_leaves_is_named_and_can_be_removed(self, blobs: BlobStore) -> None:
        blobs.create(BLOB, 10).write(b"half")
        self.write(blobs, OTHER, b"whole")
        assert sorted(blobs.ids()) == [BLOB, OTHER]
        blobs.remove(BLOB)
        assert list(blobs.ids()) == [OTHER]

    def test_an_open_reader_reads_on_after_the_removal(self, blobs: BlobStore) -> None:
        self.write(blobs, BLOB, b"0123456789")
        reader = blobs.open(BLOB, 0, 10)
        assert reader.read(3) == b"012"
        blobs.remove(BLOB)
        assert reader.read(10) == b"3456789"
        reader.close()
        with pytest.raises(NotFound):
            blobs.open(BLOB, 0, 1)

    def test_removing_what_is_not_there_does_nothing(self, blobs: BlobStore) -> None:
        blobs.remove(BLOB)

    def test_no_room_is_said_before_anything_is_written(self, blobs: BlobStore) -> None:
        with pytest.raises(OutOfSpace):
            blobs.create(BLOB, 1 << 60)
        assert list(blobs.ids()) == []
