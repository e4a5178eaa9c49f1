"""Where the files of jobs lie: ``<root>/<job id>/<attempt number>/``, and how what a sandbox left is opened.

Owns paths, safe opening and removal. Refuses to know what the files mean (logs.py, staging.py).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO


class JobFolders:
    """Thread-safe. ``root`` is made when the first attempt is."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def job(self, job_id: str) -> Path:
        return self.root / job_id

    def attempt(self, job_id: str, number: int) -> Path:
        return self.root / job_id / str(number)

    def make(self, job_id: str, number: int) -> Path:
        """The attempt's folder, there when this returns; only its owner may enter."""
        folder = self.attempt(job_id, number)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def remove(self, job_id: str) -> None:
        """Delete all that a job left, as far as it lets itself; again is no error."""
        shutil.rmtree(self.job(job_id), onerror=_open_up)

    def kept(self) -> Iterator[str]:
        """The ids that have a folder."""
        if self.root.is_dir():
            yield from (entry.name for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False))

    def free(self) -> int:
        """Bytes free on the disk below ``root``."""
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        return shutil.disk_usage(there).free


def open_left(path: Path) -> BinaryIO:
    """Open for reading a file that a sandbox may have made: never a link, a pipe or a device.

    Raises OSError, FileNotFoundError included.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is not a regular file")
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def _open_up(remove: Callable[..., Any], path: str, _error: object) -> None:
    """What a job closed with its own modes is opened and tried once more; what is gone already is fine."""
    target = Path(path)
    try:
        for closed in (target.parent, target):
            if not closed.is_symlink() and closed.is_dir():
                closed.chmod(0o700)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)
    except OSError:
        return
