"""Pages of a List operation: its filters, order and tokens.

Owns NextToken: opaque, good for the query that it came from and no other, and good after a restart.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from modelyard.base.paging import Between, Cursor, Listing, Order, Page
from modelyard.dialects.sagemaker.errors import refused

T = TypeVar("T")
SortBy = Literal["name", "created", "state", "modified"]

SORT_KEYS: Mapping[str, SortBy] = {
    "Name": "name",
    "CreationTime": "created",
    "LastModifiedTime": "modified",
    "Status": "state",
}
DEFAULT_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Query:
    """One request of a List operation, with what the operation does when a member is absent."""

    operation: str
    request: Mapping[str, Any]
    sort_by: str = "CreationTime"
    order: Order = "descending"
    from_created: bool = False
    """Whether CreationTimeAfter takes in the time itself."""

    def listing(self) -> Listing:
        """The request as the core's listing. Raises ValidationException for a token of another query."""
        request = self.request
        after = request.get("CreationTimeAfter")
        if after is not None and self.from_created:
            after = math.nextafter(after, -math.inf)
        return Listing(
            name_contains=request.get("NameContains") or None,
            created=Between(after, request.get("CreationTimeBefore")),
            modified=Between(request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore")),
            sort_by=SORT_KEYS[request.get("SortBy") or self.sort_by],
            order=self._order(),
            limit=request.get("MaxResults") or DEFAULT_LIMIT,
            after=self.after(),
        )

    def after(self) -> Cursor | None:
        """Where the request's token says that the page begins. Raises ValidationException for another query's."""
        token = self.request.get("NextToken")
        if not token:
            return None
        try:
            digest, value, row_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        except (ValueError, TypeError) as error:
            raise _bad_token() from error
        by_name = SORT_KEYS[self.request.get("SortBy") or self.sort_by] == "name"
        fits = isinstance(value, str) if by_name else isinstance(value, float | int)
        if digest != self._digest() or not isinstance(row_id, str) or not fits:
            raise _bad_token()
        return Cursor(value, row_id)

    def answer(self, member: str, items: Iterable[Mapping[str, Any]], after: Cursor | None) -> dict[str, Any]:
        """The operation's answer: its items, and a token when there are more after this cursor."""
        answer: dict[str, Any] = {member: list(items)}
        if after is not None:
            content = json.dumps([self._digest(), after.value, after.id])
            answer["NextToken"] = base64.urlsafe_b64encode(content.encode()).decode()
        return answer

    def _order(self) -> Order:
        given = self.request.get("SortOrder")
        if given is None:
            return self.order
        return "descending" if given == "Descending" else "ascending"

    def _digest(self) -> str:
        members = {name: value for name, value in self.request.items() if name not in ("NextToken", "MaxResults")}
        text = json.dumps([self.operation, members], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def sifted(fetch: Callable[[Listing], Page[T]], listing: Listing, keep: Callable[[T], bool]) -> Page[T]:
    """A listing with a filter that the core does not have: as many of its pages as one page of kept items takes."""
    kept: list[T] = []
    while True:
        page = fetch(listing)
        for number, item in enumerate(page.items, 1):
            if keep(item):
                kept.append(item)
            if len(kept) == listing.limit:
                shorter = fetch(replace(listing, limit=number))
                return Page(tuple(kept), shorter.next)
        if page.next is None:
            return Page(tuple(kept))
        listing = replace(listing, after=page.next)


def _bad_token() -> Exception:
    return refused("Invalid NextToken: it does not belong to this request. Repeat the request without it.")
