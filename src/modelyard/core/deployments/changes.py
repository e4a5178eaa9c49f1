"""Word, inside one process, that something stored has changed.

Owns waking those who wait; refuses to say what changed. A change written by another process is not
heard: whoever waits looks again after a while by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Changes:
    """Thread-safe.

    >>> changes = Changes()
    >>> mark = changes.mark()
    >>> changes.notify()
    >>> changes.wait(mark, timeout=10)
    True
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._listeners: list[Callable[[], None]] = []

    def listen(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` after each change, in the thread that made it: it must return at once."""
        self._listeners.append(wake)

    def notify(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()
        for wake in self._listeners:
            wake()

    def mark(self) -> int:
        """What ``wait`` compares with: take it before you look."""
        return self._count

    def wait(self, mark: int, timeout: float) -> bool:
        """Return True as soon as there was a change since ``mark``, False after ``timeout`` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count != mark, timeout)
