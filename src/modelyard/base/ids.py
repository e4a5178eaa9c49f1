"""Identifiers and names: one uuid4 for each object, and the SageMaker name that a foreign object gets.

Owns what an id looks like and how "id or name" is read. Refuses to know which objects there are.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from modelyard.base.errors import NotFound

_AT_ONCE = 64
_RUNS = re.compile(r"[^A-Za-z0-9]+")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Named(Protocol):
    """What is found by id or by name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


Found = TypeVar("Found", bound=Named)


class Ids(Protocol):
    """Thread-safe; never the same twice."""

    def new_id(self) -> str: ...


class RandomIds:
    """uuid4 ids. Randomness is asked of the system for many at a time; a process that was forked asks anew."""

    def __init__(self) -> None:
        self._ready: list[bytes] = []
        self._process = 0

    def new_id(self) -> str:
        if self._process != os.getpid():
            self._process, self._ready = os.getpid(), []
        try:
            raw = self._ready.pop()
        except IndexError:
            many = os.urandom(16 * _AT_ONCE)
            raw = many[:16]
            self._ready += [many[start : start + 16] for start in range(16, len(many), 16)]
        return str(uuid.UUID(bytes=raw, version=4))


class CountedIds:
    """Predictable ids for tests.

    >>> CountedIds().new_id()
    '00000000-0000-4000-8000-000000000001'
    """

    def __init__(self) -> None:
        self._count = 0

    def new_id(self) -> str:
        self._count += 1
        return f"00000000-0000-4000-8000-{self._count:012d}"


def is_id(text: str) -> bool:
    """Whether this is an id as ``Ids`` makes them: 36 characters, in lower case.

    >>> is_id("41340b01-9d7c-4a44-8d1c-2f4f9c6ab111"), is_id("41340B01-9D7C-4A44-8D1C-2F4F9C6AB111")
    (True, False)
    """
    return _ID.fullmatch(text) is not None


def by_id_or_name(
    id_or_name: str, kind: str, by_id: Callable[[str], Found | None], by_name: Callable[[str], Found | None]
) -> Found:
    """What has that id, else what has exactly that name. Raises NotFound, naming ``kind``.

    ``by_name`` may ignore letter case, since names are unique so; what it finds under another spelling is not
    what was asked for.
    """
    found = by_id(id_or_name) if is_id(id_or_name) else None
    found = found or by_name(id_or_name)
    if found is None or id_or_name not in (found.id, found.name):
        raise NotFound(kind=kind, name=id_or_name)
    return found


def wire_name(display_name: str, object_id: str, taken: Callable[[str], bool]) -> str:
    """The SageMaker name of an object made at another door (1-63 of ``[A-Za-z0-9-]``), fixed when it is made.

    ``taken`` says whether a name is in use, letter case ignored.

    >>> wire_name("Ridge", "41340b01-9d7c-4a44-8d1c-2f4f9c6ab111", lambda name: False)
    'Ridge-41340b01'
    >>> wire_name("!!", "41340b01-9d7c-4a44-8d1c-2f4f9c6ab111", lambda name: name.endswith("41340b01"))
    'x-41340b019d7c'
    """
    stem = _RUNS.sub("-", display_name)[:54].strip("-") or "x"
    for candidate in _candidates(stem, object_id.replace("-", "")):
        if not taken(candidate):
            return candidate
    raise ValueError(f"no free name for {display_name!r} with id {object_id}")


def _candidates(stem: str, digits: str) -> Iterator[str]:
    for length in (8, 12, 16, 32):
        yield f"{stem[: 62 - length].rstrip('-') or 'x'}-{digits[:length]}"
