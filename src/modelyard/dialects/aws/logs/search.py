"""One search over many streams, in order of time, a page at a time.

Owns the merge and where a page ends. A page resumes behind the last line that the one before looked at, which
(time, stream, offset) names: nothing is kept between calls, and what is printed meanwhile is not skipped as
long as it is later.
"""

from __future__ import annotations

import base64
import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import orjson

from modelyard.core.jobs.logs import Window
from modelyard.core.jobs.model import LogLine
from modelyard.dialects.aws.logs.sources import LogSource

MOST_LOOKED_AT = 100_000
"""Lines that one page looks at, whether they match or not."""

_FIRST, _MOST = 8, 1_000
"""Lines read at once of a stream: few at first, since most of many streams end a page unread."""


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Where a line stands in the order of a search: epoch milliseconds, stream, byte."""

    at: int
    stream: str
    offset: int

    def token(self) -> str:
        """The place as an opaque page token."""
        return base64.urlsafe_b64encode(orjson.dumps([self.at, self.stream, self.offset])).decode()

    @classmethod
    def of(cls, token: str) -> Place:
        """The place that a token names. Raises ValueError."""
        parts = orjson.loads(base64.urlsafe_b64decode(token.encode()))
        if not isinstance(parts, list) or [type(part) for part in parts] != [int, str, int]:
            raise ValueError(token)
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of matches; ``more`` is where the next begins, None when everything was looked at."""

    lines: tuple[tuple[str, LogLine], ...]
    more: Place | None


def search(
    source: LogSource,
    group: str,
    streams: Iterable[str],
    matches: Callable[[str], bool],
    window: Window,
    after: Place | None,
) -> Found:
    """At most ``window.limit`` matches, about 1 MB of them, behind ``after``."""
    if after is not None:
        window = replace(window, since=max(after.at, window.since or 0))
    merged = heapq.merge(
        *(_places(source, group, stream, window, after) for stream in streams), key=lambda item: item[0]
    )
    found: list[tuple[str, LogLine]] = []
    size = 0
    for looked_at, (place, line) in enumerate(merged, 1):
        if matches(line.text):
            found.append((place.stream, line))
            size += len(line.text)
        if len(found) >= window.limit or size >= 1 << 20 or looked_at >= MOST_LOOKED_AT:
            return Found(tuple(found), place)
    return Found(tuple(found), None)


def _places(
    source: LogSource, group: str, stream: str, window: Window, after: Place | None
) -> Iterator[tuple[Place, LogLine]]:
    offset, count = None, _FIRST
    while True:
        page = source.read(group, stream, replace(window, offset=offset, limit=count))
        for line in page.lines:
            place = Place(line.at, stream, line.offset)
            if after is None or place > after:
                yield place, line
        if not page.lines:
            return
        offset, count = page.end, min(4 * count, _MOST)
