"""News inside one process that some job changed, so that who waits need not poll fast.

Owns a counter and a condition. It is only a hint: another process's writes raise no news here, so a waiter
looks at the table again after each ``wait``, whatever woke it.
"""

from __future__ import annotations

import threading


class JobChanges:
    """Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def tell(self) -> None:
        """Wake everyone who waits."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def mark(self) -> int:
        """Where the news stand now; take it before looking at the table."""
        return self._count

    def wait(self, mark: int, timeout: float) -> bool:
        """Until there are news since ``mark`` or ``timeout`` seconds are over; whether there are."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count != mark, timeout)
