"""Whether anybody has committed anything to a SQLite file in WAL mode, told by 48 bytes of memory.

SQLite's own readers compare the first header of the WAL index, in the file ``-shm`` that every process maps, with
the one they saw last (https://www.sqlite.org/walformat.html#the_wal_index_header). It is another before a commit
returns. Asking ``PRAGMA data_version`` instead costs fifty times as much, most of it for locks.
"""

from __future__ import annotations

import mmap
import os
import threading
from typing import Any

_HEADER = 48
"""Bytes of the header: a counter of changes, the WAL's end, its salts and running checksum."""

_guard = threading.Lock()
_users: dict[str, int] = {}
_closing: dict[str, list[Commits]] = {}


class Commits:
    """One file's commits. ``connection``, one of SQLite's, is kept open so that the index outlives all others.

    Raises OSError where there is no index to map: WAL mode is off.
    """

    def __init__(self, path: str, connection: Any) -> None:
        self._connection = connection
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first read makes the index
        try:
            descriptor = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            connection.close()
            raise
        # mmap keeps a descriptor of its own; neither may be closed yet, see ``leave``.
        self._descriptor = descriptor
        self._index = mmap.mmap(descriptor, _HEADER, prot=mmap.PROT_READ)

    def version(self) -> bytes | None:
        """Another value after every commit by anyone; None once it is closed."""
        try:
            return self._index[:_HEADER]
        except ValueError:
            return None

    def close_connection(self) -> None:
        self._connection.close()

    def close(self) -> None:
        self._index.close()
        os.close(self._descriptor)


def enter(path: str) -> None:
    """This process opens a database on that file."""
    with _guard:
        _users[path] = _users.get(path, 0) + 1


def leave(path: str, commits: Commits | None) -> None:
    """A database of that file, as entered, has closed its connections.

    Closing any descriptor of a file gives up all locks that the process has on it, SQLite's too
    (https://www.sqlite.org/howtocorrupt.html, 2.2): they are closed when the last database of the file has left.
    """
    with _guard:
        waiting = _closing.setdefault(path, [])
        if commits is not None:
            waiting.append(commits)
        _users[path] -= 1
        if _users[path] > 0:
            return
        del _users[path], _closing[path]
        for one in waiting:
            one.close()
