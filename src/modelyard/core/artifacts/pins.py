"""Which blobs are in use by a reader or an unfinished write of this process.

Owns the rule that a blob is removed only when nothing names and nobody uses it. One data directory has one
server process, so the pins of this process are all there are.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable


class Pins:
    """Thread-safe. ``remove`` is called for each blob that may go."""

    def __init__(self, remove: Callable[[str], None]) -> None:
        self._remove = remove
        self._uses: Counter[str] = Counter()
        self._doomed: set[str] = set()
        self._guard = threading.Lock()

    def take(self, blobs: Iterable[str]) -> None:
        """Keep these blobs until they are released as often as they were taken."""
        with self._guard:
            self._uses.update(blobs)

    def release(self, blobs: Iterable[str]) -> None:
        with self._guard:
            for blob in blobs:
                self._uses[blob] -= 1
                if self._uses[blob] <= 0:
                    del self._uses[blob]
                    if blob in self._doomed:
                        self._doomed.discard(blob)
                        self._remove(blob)

    def discard(self, blobs: Collection[str]) -> None:
        """Remove blobs that no row names: now, or with the last release. All or none, as a reader sees it."""
        if not blobs:
            return
        with self._guard:
            for blob in blobs:
                if blob in self._uses:
                    self._doomed.add(blob)
                else:
                    self._remove(blob)

    def used(self, blob: str) -> bool:
        with self._guard:
            return blob in self._uses
