"""Listings: keys under a prefix, those that share a delimiter's prefix rolled into one.

Follows https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html. A rolled-up prefix is jumped over, so
that a folder of a million keys costs one page.
"""

from __future__ import annotations

from collections.abc import Callable

from modelyard.core.artifacts.model import ObjectPage, StoredObject

Fetch = Callable[[bytes, int], tuple[StoredObject, ...]]
"""The next objects under the prefix after a key."""

_BATCH = 1000
_PAST = b"\xff"
"""Greater than any byte of UTF-8: appended to a prefix it comes after every key below."""


def list_page(fetch: Fetch, prefix: str, delimiter: str, after: bytes, limit: int) -> ObjectPage:
    """At most ``limit`` objects and prefixes together, in order."""
    objects: list[StoredObject] = []
    prefixes: list[str] = []
    rolled = _roll(after.decode("utf-8", "ignore"), prefix, delimiter) if after else None
    position = rolled.encode() + _PAST if rolled is not None else after
    last = ""
    while limit:
        wanted = min(limit - len(objects) - len(prefixes) + 1, _BATCH)
        batch = fetch(position, wanted)
        for found in batch:
            key = found.key.encode()
            if key <= position:
                continue
            rolled = _roll(found.key, prefix, delimiter)
            if len(objects) + len(prefixes) == limit:
                return ObjectPage(tuple(objects), tuple(prefixes), position, last)
            if rolled is None:
                objects.append(found)
                last, position = found.key, key
            else:
                prefixes.append(rolled)
                last, position = rolled, rolled.encode() + _PAST
        if len(batch) < wanted:
            break
    return ObjectPage(tuple(objects), tuple(prefixes), None, last)


def _roll(key: str, prefix: str, delimiter: str) -> str | None:
    """The common prefix that stands for this key, or None when it is shown itself."""
    if not delimiter or not key.startswith(prefix):
        return None
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else None
