"""Where the files of jobs lie: ``<root>/<job id>/<attempt number>/``, and how what a sandbox left is opened.

Owns paths, safe opening and removal. Refuses to know what the files mean (logs.py, staging.py).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from modelyard.base.disk import check_room, remove_tree


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
        """Delete all that a job left; again is no error. What the disk does not let go now, the next sweep tries."""
        with contextlib.suppress(OSError):
            remove_tree(self.job(job_id))

    def kept(self) -> Iterator[str]:
        """The ids that have a folder."""
        if self.root.is_dir():
            yield from (entry.name for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False))

    def check_room(self, reserve: int) -> None:
        """Raises OutOfSpace when less than ``reserve`` bytes are free on the disk of ``root``."""
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        check_room(there, 0, reserve, str(self.root))


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
