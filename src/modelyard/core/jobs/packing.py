"""A folder as a tar.gz: streamed, in sorted order, without owners, following no link out of the folder.

The worker packs what its script left; the server packs what a killed worker could not, or merges hosts. So
each step goes by descriptor and O_NOFOLLOW: the folder may belong to a stranger. A link to a regular file
inside the folder is stored as that file (archives with links are refused when they are unpacked), any other
link as it is. Sockets, FIFOs and devices are left out.
"""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LEVEL = 3
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _READ | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a walked folder; ``fd`` is open on a regular file, else None."""

    name: str
    status: os.stat_result
    fd: int | None = None
    link: str | None = None


def open_regular(folder: Path, name: str) -> int | None:
    """A descriptor open for reading on the regular file ``name`` below ``folder``; None when there is none.

    No link is followed on the way and a FIFO does not block.
    """
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _open_below(at, name)
    finally:
        os.close(at)


def _open_below(root: int, name: str) -> int | None:
    *folders, last = name.split("/")
    at = os.dup(root)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        fd = os.open(last, _READ | os.O_NONBLOCK, dir_fd=at)
    except OSError:
        return None
    finally:
        os.close(at)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def walk(folder: Path) -> Iterator[Found]:
    """Everything below ``folder`` in sorted order, folders before what they hold. A yielded ``fd`` is closed
    when the next entry is asked for."""
    try:
        root = os.open(folder, _FOLDER)
    except OSError:
        return
    try:
        for at, folders, files, dir_fd in os.fwalk(".", dir_fd=root, follow_symlinks=False):
            folders.sort()
            below = posixpath.normpath(at)
            for name in sorted([*folders, *files]):
                path = name if below == "." else f"{below}/{name}"
                yield from _entry(root, dir_fd, path, name)
    finally:
        os.close(root)


def _entry(root: int, dir_fd: int, path: str, name: str) -> Iterator[Found]:
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield Found(path, status)
            return
        link = os.readlink(name, dir_fd=dir_fd) if stat.S_ISLNK(status.st_mode) else None
    except FileNotFoundError:
        return
    target = path if link is None else posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    fd = None if target.startswith(("/", "..")) else _open_below(root, target)
    if fd is not None:
        try:
            yield Found(path, os.fstat(fd), fd=fd)
        finally:
            os.close(fd)
    elif link is not None:
        yield Found(path, status, link=link)


def pack(folders: Sequence[Path], target: Path) -> int:
    """Write what ``folders`` hold to ``target`` as a tar.gz; how many entries went in.

    Of entries with one name in several folders the first folder's is taken. Raises OSError when a file
    changes its size while it is read or the disk is full; ``target`` is then gone.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with (
            os.fdopen(fd, "wb") as raw,
            gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            count = _fill(archive, folders)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return count


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar.gz of these files, in memory: what SDKs call sourcedir.tar.gz."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def _fill(archive: tarfile.TarFile, folders: Sequence[Path]) -> int:
    seen: set[str] = set()
    for folder in folders:
        for found in walk(folder):
            if found.name not in seen:
                seen.add(found.name)
                _add(archive, found)
    return len(seen)


def _add(archive: tarfile.TarFile, found: Found) -> None:
    info = tarfile.TarInfo(found.name)
    info.mode = stat.S_IMODE(found.status.st_mode) & 0o777
    info.mtime = int(found.status.st_mtime)
    if found.fd is not None:
        info.size = found.status.st_size
        with os.fdopen(os.dup(found.fd), "rb") as content:
            archive.addfile(info, content)
        return
    if found.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, found.link
    else:
        info.type = tarfile.DIRTYPE
    archive.addfile(info)


def is_empty(folder: Path) -> bool:
    """Whether nothing that would be packed lies below ``folder``."""
    return next(iter(walk(folder)), None) is None
