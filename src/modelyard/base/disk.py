"""Durable files and locks: what is reported written has been flushed; who holds a lock is alive.

Owns fsync, atomic replacement and flock. Every durable write goes through a ``Disk``, so that a test can
record the order of writes, flushes and renames (a killed process keeps the page cache and would hide a
missing fsync).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from modelyard.base.errors import OutOfSpace

RESERVE = 1 << 30
"""Bytes of a disk that no write may use up, where no setting says otherwise."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk(Protocol):
    """The calls that durability hangs on. Thread-safe. A crash between ``replace`` and ``sync_folder`` may
    show either name; content synced before ``replace`` is whole under both. ``sync_tree`` flushes a folder
    with all that it holds, ``sync_folder`` only the names in it."""

    def sync(self, fd: int) -> None: ...

    def replace(self, source: Path, target: Path) -> None: ...

    def sync_folder(self, folder: Path) -> None: ...

    def sync_tree(self, folder: Path) -> None: ...


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

    def sync_tree(self, folder: Path) -> None:
        """By syncfs(2) of the whole file system: a library's thousands of files one by one take 50 times longer."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
                failed = ctypes.get_errno()
                raise OSError(failed, os.strerror(failed), str(folder))
        finally:
            os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte: one write(2) may take fewer and say so in its answer alone. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def check_room(place: Path | int, wanted: int, reserve: int, where: str) -> None:
    """Raises OutOfSpace, naming ``where``, when ``wanted`` bytes more would leave less than ``reserve`` bytes free
    on the disk of ``place``, a path or a descriptor."""
    disk = os.statvfs(place)
    if disk.f_bavail * disk.f_frsize - wanted < reserve:
        raise OutOfSpace(wanted=wanted, reserve=reserve, where=where)


def remove_tree(path: Path) -> None:
    """Delete ``path`` and all that it holds, made by whomever; again is no error. Raises OSError.

    Closed folders are opened to their owner from the top down, links never followed. A folder inside is first
    moved up to ``path``, so that no depth exhausts stack, descriptors or the length of a path.
    """
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            _remove(path.name, parent)
    except NotADirectoryError:
        path.unlink(missing_ok=True)
    finally:
        os.close(parent)


def _remove(name: str, parent: int) -> None:
    _let_in(name, parent)
    top = os.open(name, _FOLDER, dir_fd=parent)
    try:
        waiting = _emptied(top, top)
        while waiting:
            moved = waiting.pop()
            with contextlib.suppress(FileNotFoundError):
                folder = os.open(moved, _FOLDER, dir_fd=top)
                try:
                    waiting += _emptied(folder, top)
                finally:
                    os.close(folder)
                os.rmdir(moved, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _emptied(folder: int, top: int) -> list[str]:
    """Delete the files of ``folder``; its folders now lie in ``top`` under the names answered. What another
    process deletes meanwhile is passed over."""
    with os.scandir(folder) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    moved: list[str] = []
    for name, is_folder in entries:
        with contextlib.suppress(FileNotFoundError):
            if is_folder:
                _let_in(name, folder)
                target = f".{os.urandom(8).hex()}"
                os.rename(name, target, src_dir_fd=folder, dst_dir_fd=top)
                moved.append(target)
            else:
                os.unlink(name, dir_fd=folder)
    return moved


def _let_in(name: str, parent: int) -> None:
    """Open the folder ``name`` to its owner. Raises NotADirectoryError for a link or a file."""
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{fd}").chmod(0o700)
    finally:
        os.close(fd)


def write_durably(disk: Disk, path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` atomically; when this returns the content survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(fd, content)
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
