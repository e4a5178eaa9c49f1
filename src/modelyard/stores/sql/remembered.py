"""What was read from the database and has not changed since.

Owns when a remembered answer may be given: while nobody, in this process or another, has committed anything.
Asking that takes less than a microsecond, a query through SQLAlchemy a hundred. Where the database cannot tell,
nothing is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from modelyard.stores.sql.database import Database

T = TypeVar("T")


def _any(_answer: object) -> bool:
    return True


class Remembered:
    """Thread-safe. At most ``limit`` answers; the next one after that forgets them all."""

    def __init__(self, database: Database, limit: int = 2_000) -> None:
        self._database = database
        self._limit = limit
        self._guard = threading.Lock()
        self._version: bytes | None = None
        self._answers: dict[Hashable, object] = {}

    def get(self, key: Hashable, read: Callable[[], T], keeps: Callable[[T], bool] = _any) -> T:
        """The answer of ``read``, or the remembered one of this key, as new as a read that begins now. ``keeps``:
        whether an answer is small enough to be remembered."""
        version = self._database.version()
        if version is None:
            return read()
        answers = self._of(version)
        if key in answers:
            return cast(T, answers[key])
        answer = read()  # read after the version was: at least as new
        if keeps(answer):
            answers[key] = answer
        return answer

    def _of(self, version: bytes) -> dict[Hashable, object]:
        with self._guard:
            if version != self._version or len(self._answers) >= self._limit:
                self._version, self._answers = version, {}
            return self._answers
