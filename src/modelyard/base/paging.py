"""Pages of a listing: what every noun's ``list`` takes and answers.

Owns filters, order and where the next page begins. Refuses to know tokens on a wire, and queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T_co = TypeVar("T_co", covariant=True)

Order = Literal["ascending", "descending"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: the sort value and id of the last row shown, so that a row
    made or deleted between two pages neither repeats nor hides another."""

    value: str | float
    id: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """One page of a listing; ``next`` is None on the last."""

    items: tuple[T_co, ...]
    next: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """An open interval of times in epoch seconds; None leaves an end open."""

    after: float | None = None
    before: float | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The filters that every noun shares. ``limit`` is at least 1."""

    name_contains: str | None = None
    created: Between = Between()
    modified: Between = Between()
    states: frozenset[str] | None = None
    sort_by: Literal["name", "created", "state", "modified"] = "created"
    order: Order = "descending"
    limit: int = 10
    after: Cursor | None = None
