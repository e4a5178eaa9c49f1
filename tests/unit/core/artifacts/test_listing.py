"""Listings of any set of keys, in pages of any size, against the definition of a listing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.artifacts.listing import Fetch, list_page
from modelyard.core.artifacts.model import StoredObject

KEYS = st.sets(st.text(alphabet="ab/é\U0001f600", min_size=1, max_size=6), max_size=25)
WORDS = st.text(alphabet="ab/", max_size=2)


def fetch(keys: list[bytes], prefix: str) -> Fetch:
    """A catalogue of these sorted keys."""

    def some(after: bytes, limit: int) -> tuple[StoredObject, ...]:
        chosen = [key for key in keys if key.startswith(prefix.encode()) and key > after]
        return tuple(StoredObject("data", key.decode(), "g", 0, "e", 0.0) for key in chosen[:limit])

    return some


def expected(keys: list[bytes], prefix: str, delimiter: str) -> list[str]:
    """Keys and rolled-up prefixes by definition."""
    shown: dict[str, None] = {}
    for raw in keys:
        key = raw.decode()
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            shown[key if end < 0 else key[: end + len(delimiter)]] = None
    return list(shown)


@given(KEYS, WORDS, WORDS, st.integers(1, 5))
def test_pages_together_show_each_once_and_in_order(names: set[str], prefix: str, delimiter: str, limit: int) -> None:
    keys = sorted(name.encode() for name in names)
    shown: list[str] = []
    after: bytes | None = b""
    while after is not None:
        page = list_page(fetch(keys, prefix), prefix, delimiter, after, limit)
        together = sorted([*(found.key for found in page.objects), *page.prefixes], key=str.encode)
        assert len(together) == limit or page.next is None
        shown += together
        after = page.next
    assert shown == expected(keys, prefix, delimiter)


def test_a_rolled_up_folder_is_jumped_over() -> None:
    keys = [*sorted(f"a/{number:05d}".encode() for number in range(5000)), b"b"]
    calls: list[int] = []

    def counted(after: bytes, limit: int) -> tuple[StoredObject, ...]:
        found = fetch(keys, "")(after, limit)
        calls.append(len(found))
        return found

    page = list_page(counted, "", "/", b"", 1000)
    assert (page.prefixes, [found.key for found in page.objects], page.next) == (("a/",), ["b"], None)
    assert sum(calls) <= 1001
