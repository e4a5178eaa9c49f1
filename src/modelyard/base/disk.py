"""Durable files and locks: what is reported written has been flushed; who holds a lock is alive.

Owns fsync, atomic replacement and flock. Every durable write goes through a ``Disk``, so that a test can
record the order of writes, flushes and renames (a killed process keeps the page cache and would hide a
missing fsync).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """The three calls that durability hangs on. Thread-safe. A crash between ``replace`` and
    ``sync_folder`` may show either name; content synced before ``replace`` is whole under both."""

    def sync(self, fd: int) -> None: ...

    def replace(self, source: Path, target: Path) -> None: ...

    def sync_folder(self, folder: Path) -> None: ...


class RealDisk:
    """The machine's disk."""

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def sync_folder(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_durably(disk: Disk, path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` atomically; when this returns the content survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        disk.sync(fd)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    disk.replace(temporary, path)
    disk.sync_folder(path.parent)


def try_lock(path: Path) -> int | None:
    """Take the exclusive flock on ``path``; the descriptor that holds it, or None when another process does.

    The lock goes with the last copy of the descriptor: a killed holder lets go at once.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return fd


def is_locked(path: Path) -> bool:
    """Whether some process holds the flock on ``path``."""
    if not path.exists():
        return False
    fd = try_lock(path)
    if fd is None:
        return True
    os.close(fd)
    return False


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Wait for the exclusive flock on ``path`` and hold it for the block."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for ``path`` that fits a Unix socket address (108 bytes) however deep the folder lies."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


def listen_unix(path: Path, backlog: int = 1024, mode: int = 0o600) -> socket.socket:
    """A listening Unix stream socket at ``path``, replacing a dead one that lies there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(path) as name:
        listener.bind(name)
    path.chmod(mode)
    listener.listen(backlog)
    return listener


def connect_unix(path: Path, timeout: float | None = None) -> socket.socket:
    """A connected Unix stream socket. Raises OSError when nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with short_path(path) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection
