"""Identifiers and names: one uuid4 for each object, and the SageMaker name that a foreign object gets."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

_RUNS = re.compile(r"[^A-Za-z0-9]+")


class Ids(Protocol):
    """Thread-safe; never the same twice."""

    def new_id(self) -> str: ...

    def new_token(self) -> str: ...


class RandomIds:
    """uuid4 ids, 256-bit url-safe tokens."""

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def new_token(self) -> str:
        return secrets.token_urlsafe(32)


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

    def new_token(self) -> str:
        self._count += 1
        return f"token-{self._count}"


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
