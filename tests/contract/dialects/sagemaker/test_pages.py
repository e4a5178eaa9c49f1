"""Tokens belong to one query; filters that the core lacks still fill their pages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.base.paging import Cursor, Listing, Page
from modelyard.dialects.aws.protocol import AwsError
from modelyard.dialects.sagemaker.pages import Query, sifted

CURSOR = Cursor(1.5, "id")


def token(request: dict[str, Any], cursor: Cursor = CURSOR, operation: str = "ListModels") -> str:
    answer = Query(operation, request).answer("Models", [], cursor)
    text: str = answer["NextToken"]
    return text


def test_a_token_leads_on_in_the_same_query_whatever_the_page_size() -> None:
    given = token({"NameContains": "a", "MaxResults": 5})
    listing = Query("ListModels", {"NameContains": "a", "MaxResults": 7, "NextToken": given}).listing()
    assert (listing.after, listing.limit, listing.name_contains) == (Cursor(1.5, "id"), 7, "a")


@pytest.mark.parametrize(
    "request_",
    [{"NameContains": "b"}, {"NameContains": "a", "SortOrder": "Ascending"}, {"NameContains": "a", "SortBy": "Name"}],
)
def test_a_token_is_refused_by_every_other_query(request_: dict[str, Any]) -> None:
    given = token({"NameContains": "a"})
    for operation, request in (("ListModels", request_), ("ListEndpoints", {"NameContains": "a"})):
        with pytest.raises(AwsError) as refused:
            Query(operation, request | {"NextToken": given}).listing()
        assert refused.value.code == "ValidationException"


@given(st.text(max_size=200) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_text_makes_a_token_by_chance(text: str) -> None:
    if text:
        with pytest.raises(AwsError):
            Query("ListModels", {"NextToken": text}).listing()


@pytest.mark.parametrize("content", [[], {}, 1, None, ["x", 1, 2], [None, "a", "b"], ["d", True, "b"]])
def test_a_token_of_another_form_is_refused(content: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    with pytest.raises(AwsError):
        Query("ListModels", {"NextToken": text}).listing()


def fetch(listing: Listing) -> Page[int]:
    """The numbers below 30, in order."""
    start = int(listing.after.value) + 1 if listing.after else 0
    items = tuple(range(start, min(30, start + listing.limit)))
    return Page(items, Cursor(items[-1], "") if items and items[-1] < 29 else None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("every", [1, 4, 29, 31])
def test_a_filter_of_the_door_fills_its_pages(limit: int, every: int) -> None:
    seen: list[int] = []
    listing = Listing(limit=limit)
    while True:
        page = sifted(fetch, listing, lambda number: number % every == every - 1)
        assert len(page.items) == limit or page.next is None
        seen += page.items
        if page.next is None:
            break
        listing = Listing(limit=limit, after=page.next)
    assert seen == [number for number in range(30) if number % every == every - 1]
