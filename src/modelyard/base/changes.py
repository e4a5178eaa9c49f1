"""Word, inside one process, that something stored has changed, so that who waits need not poll fast.

Owns a counter and a condition; refuses to say what changed. It is only a hint: what another process writes is
not heard here, so a waiter looks again after each ``wait``, whatever woke it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Changes:
    """Thread-safe.

    >>> changes = Changes()
    >>> mark = changes.mark()
    >>> changes.tell()
    >>> changes.wait(mark, timeout=10)
    True
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._listeners: tuple[Callable[[], None], ...] = ()

    def tell(self) -> None:
        """Wake everyone who waits or listens."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this at each ``tell``, in the teller's thread; it must be quick (a controller's loop: wake)."""
        self._listeners += (listener,)

    def mark(self) -> int:
        """Where the news stand now; take it before you look."""
        return self._count

    def wait(self, mark: int, timeout: float) -> bool:
        """Until there are news since ``mark`` or ``timeout`` seconds are over; whether there are."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count != mark, timeout)
