"""Encoded answers of operations that tell nothing but the catalogue, given again while nobody commits anything.

Owns when that is, and how much is kept. A request is authenticated each time all the same: only what follows from
its input is remembered, never that it was allowed. Refuses to know operations and wires.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

Version = Callable[[], Hashable | None]
"""Something that is another after every commit by anyone; None where that cannot be told. Costs next to nothing."""

_OVERHEAD = 300
"""Bytes that Python takes for one remembered answer beside its key's and its own, about."""


def never() -> None:
    """The version of a catalogue that does not tell."""


class Answers:
    """Belongs to one event loop. ``limit`` is in bytes; once they pass it, the next call forgets them all."""

    def __init__(self, version: Version, limit: int = 4 << 20) -> None:
        self._version = version
        self._limit = limit
        self._at: Hashable | None = None
        self._size = 0
        self._known: dict[Hashable, bytes] = {}

    def now(self) -> dict[Hashable, bytes] | None:
        """The answers that still hold, to be asked for before anything is read; None where that cannot be told."""
        version = self._version()
        if version is None:
            return None
        if version != self._at or self._size > self._limit:
            self._at, self._size, self._known = version, 0, {}
        return self._known

    def keep(self, known: dict[Hashable, bytes], key: Hashable, asked: bytes, answer: bytes) -> None:
        """Remember an answer that was read after ``now`` gave ``known``; ``asked`` is what its key holds."""
        known[key] = answer
        self._size += len(asked) + len(answer) + _OVERHEAD
