"""Blobs as files of one folder: the port ``core.artifacts.ports.BlobStore``.

Owns the order that makes a blob durable: bytes, fsync, rename to the final name, fsync of the folder; and the reserve
of free space. Names are ids of ours, never what a client chose, spread over 256 folders. Refuses to know keys.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from modelyard.base.disk import RESERVE, Disk, check_room, write_all
from modelyard.base.errors import NotFound, OutOfSpace

_CHECK_EVERY = 64 << 20
_UNFINISHED = "unfinished"


class FileBlobStore:
    """Thread-safe. ``reserve`` bytes of the disk stay free."""

    def __init__(self, root: Path, disk: Disk, reserve: int = RESERVE) -> None:
        self._root = root
        self._disk = disk
        self.reserve = reserve
        self._promised = 0
        self._guard = threading.Lock()
        self._prepare()

    def create(self, blob: str, expected: int | None) -> FileBlobWriter:
        with self._guard:
            self.check_space(self._promised + (expected or 0))
            self._promised += expected or 0
        try:
            return FileBlobWriter(self, self._root / _UNFINISHED / blob, self._path(blob), self._disk, expected or 0)
        except BaseException:
            self.fulfil(expected or 0)
            raise

    def open(self, blob: str, start: int, size: int) -> FileBlobReader:
        try:
            return FileBlobReader(os.open(self._path(blob), os.O_RDONLY | os.O_CLOEXEC), start, size)
        except FileNotFoundError:
            raise NotFound(kind="blob", name=blob) from None

    def remove(self, blob: str) -> None:
        self._path(blob).unlink(missing_ok=True)
        (self._root / _UNFINISHED / blob).unlink(missing_ok=True)

    def ids(self) -> Iterator[str]:
        for folder in sorted(self._root.iterdir()):
            with os.scandir(folder) as entries:
                yield from (entry.name for entry in entries)

    def check_space(self, wanted: int) -> None:
        """Raises OutOfSpace when ``wanted`` more bytes would not leave the reserve free."""
        check_room(self._root, wanted, self.reserve, str(self._root))

    def fulfil(self, size: int) -> None:
        """So many bytes that a writer was promised are written, or no longer wanted."""
        with self._guard:
            self._promised -= size

    def _path(self, blob: str) -> Path:
        return self._root / blob[-2:] / blob

    def _prepare(self) -> None:
        if (self._root / _UNFINISHED).is_dir():
            return
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(256):
            (self._root / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        (self._root / _UNFINISHED).mkdir(mode=0o700, exist_ok=True)
        self._disk.sync_folder(self._root)
        self._disk.sync_folder(self._root.parent)


class FileBlobWriter:
    """A blob on its way: a file under ``unfinished`` until it is whole and flushed."""

    def __init__(self, store: FileBlobStore, unfinished: Path, final: Path, disk: Disk, expected: int) -> None:
        self._store = store
        self._unfinished = unfinished
        self._final = final
        self._disk = disk
        self._promise = expected
        self._size = 0
        self._checked = 0
        self._fd: int | None = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes | memoryview) -> None:
        assert self._fd is not None
        view = memoryview(data)
        self._size += len(view)
        if self._size - self._checked > _CHECK_EVERY:
            self._checked = self._size
            self._store.check_space(len(view))
        try:
            write_all(self._fd, view)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfSpace(
                    wanted=len(view), reserve=self._store.reserve, where=str(self._final.parent)
                ) from error
            raise
        self._fulfil(len(data))

    def commit(self) -> None:
        assert self._fd is not None
        self._disk.sync(self._fd)
        self._close()
        self._disk.replace(self._unfinished, self._final)
        self._disk.sync_folder(self._final.parent)

    def abort(self) -> None:
        self._close()
        self._unfinished.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._fulfil(self._promise)

    def _fulfil(self, size: int) -> None:
        part = min(size, self._promise)
        if part:
            self._promise -= part
            self._store.fulfil(part)


class FileBlobReader:
    """A range of a file, read on; goes on after the file's name is gone."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd = fd
        self._position = start
        self._left = size

    def read(self, size: int) -> bytes:
        data = os.pread(self._fd, min(size, self._left), self._position)
        self._position += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
