"""The first Describe after a change waits a little for its end, so that clients which poll slowly see it at once.

Owns what changed and has not been described since. SDKs pause 30 to 120 seconds between two Describes; a job
that misses the first costs its user that pause. Waits in the event loop and looks again and again, because a
thread for each waiting client would soon be all threads.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from modelyard.base.clock import Clock

T = TypeVar("T")

_REMEMBERED = 10_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.15


class Holds:
    """Thread-safe by the interpreter's own lock. ``seconds`` is how long a Describe is held at most; 0: never."""

    def __init__(self, seconds: float, clock: Clock, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pause = pause
        self._changed: OrderedDict[str, None] = OrderedDict()

    def mark(self, object_id: str) -> None:
        """This object was created or changed: its next Describe is held."""
        self._changed[object_id] = None
        while len(self._changed) > _REMEMBERED:
            self._changed.popitem(last=False)

    async def read(self, object_id: str, read: Callable[[], T], is_settled: Callable[[T], bool], first: T) -> T:
        """``first``, or what ``read`` gives when it is settled or the time is up. What ``read`` raises ends it."""
        if self._changed.pop(object_id, self) is self:
            return first
        value, pause = first, _FIRST_PAUSE
        end = self._clock.monotonic() + self._seconds
        while not is_settled(value) and self._clock.monotonic() < end:
            await self._pause(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            value = read()
        return value
