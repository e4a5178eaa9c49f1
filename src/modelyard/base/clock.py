"""Time as a thing that is handed in, so that tests step it instead of waiting.

Owns two readings, of the date and of what has passed. Refuses to sleep: who waits does so by itself.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Thread-safe. ``now`` is seconds since the epoch, UTC; ``monotonic`` never goes back."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class SteppedClock:
    """A clock that moves only when told to.

    >>> clock = SteppedClock(100.0)
    >>> clock.step(2.5)
    >>> clock.now()
    102.5
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def step(self, seconds: float) -> None:
        self._now += seconds
