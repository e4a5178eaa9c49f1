"""News inside one process that some job changed, so that who waits need not poll fast.

Owns a counter and a condition. It is only a hint: another process's writes raise no news here, so a waiter
looks at the table again after each ``wait``, whatever woke it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class JobChanges:
    """Thread-safe."""

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
        """Call this at each ``tell``, in the teller's thread; it must be quick (the controller's loop: wake)."""
        self._listeners += (listener,)

    def mark(self) -> int:
        """Where the news stand now; take it before looking at the table."""
        return self._count

    def wait(self, mark: int, timeout: float) -> bool:
        """Until there are news since ``mark`` or ``timeout`` seconds are over; whether there are."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count != mark, timeout)
