"""Which variant answers the next request: within 1 of the exact share over any 1,000 requests.

A round has 1,000 places. Each variant has the whole part of its share at fixed places, spread by smooth weighted
round robin, so any 1,000 consecutive requests meet each of them once. What the fractions leave over are R free
places a round; a variant takes one when most is owed to it, never twice within R free places, so any 1,000
requests give it none or one of them. What it is owed settles over the rounds. Refuses to know workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import floor

PLACES = 1000


class Wheel:
    """Picks indexes of ``weights`` (at least one above 0). Not thread-safe.

    >>> wheel = Wheel([3.0, 1.0])
    >>> [wheel.pick() for _ in range(8)]
    [0, 0, 1, 0, 0, 0, 1, 0]
    """

    def __init__(self, weights: Sequence[float]) -> None:
        total = sum(weights)
        if not total > 0 or min(weights) < 0:
            raise ValueError("weights must not be negative, and one must be above 0")
        shares = [weight / total * PLACES for weight in weights]
        self._whole = [floor(share + 1e-9) for share in shares]
        self._fractions = [max(0.0, share - whole) for share, whole in zip(shares, self._whole, strict=True)]
        self._free = PLACES - sum(self._whole)
        self._spread = [0] * (len(weights) + 1)
        self._owed = [0.0] * len(weights)
        self._recent: deque[int] = deque(maxlen=max(0, self._free - 1))

    def pick(self) -> int:
        spread = self._spread
        for index, whole in enumerate(self._whole):
            spread[index] += whole
        spread[-1] += self._free
        best = max(range(len(spread)), key=spread.__getitem__)
        spread[best] -= PLACES
        return best if best < len(self._whole) else self._pick_free()

    def _pick_free(self) -> int:
        owed = self._owed
        for index, fraction in enumerate(self._fractions):
            owed[index] += fraction / self._free
        open_to = (i for i, fraction in enumerate(self._fractions) if fraction > 0 and i not in self._recent)
        best = max(open_to, key=owed.__getitem__)
        owed[best] -= 1
        self._recent.append(best)
        return best
