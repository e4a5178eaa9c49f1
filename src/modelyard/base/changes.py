"""Word, inside one process, that something stored has changed, so that a controller's loop need not poll fast.

Owns the listeners; refuses to say what changed. It is only a hint: what another process writes is not heard here, so
a loop looks from time to time, whatever woke it.
"""

from __future__ import annotations

from collections.abc import Callable


class Changes:
    """Thread-safe.

    >>> changes = Changes()
    >>> changes.listen(lambda: print("news"))
    >>> changes.tell()
    news
    """

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()

    def tell(self) -> None:
        """Wake everyone who listens."""
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this at each ``tell``, in the teller's thread; it must be quick (a controller's loop: wake)."""
        self._listeners += (listener,)
