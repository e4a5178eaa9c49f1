"""Locations and names: what S3 would take, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.artifacts.model import BadKey, BadLocation, Location, check_key, is_bucket_name


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://data/a/b", "data", "a/b"),
        ("s3://data", "data", ""),
        ("S3://data//x", "data", "/x"),
        ("s3://data/", "data", ""),
    ],
)
def test_locations_are_parsed(text: str, bucket: str, key: str) -> None:
    assert Location.parse(text) == Location(bucket, key)


@pytest.mark.parametrize(
    "text",
    ["", "data/a", "http://data/a", "s3:/data/a", "s3:///a", "s3://Data/a", "s3://da ta/a", "s3://data/" + "k" * 1025],
)
def test_what_is_no_location_is_refused(text: str) -> None:
    with pytest.raises(BadLocation):
        Location.parse(text)


@given(st.text(min_size=1, max_size=256))
def test_a_location_says_what_it_was_made_of(key: str) -> None:
    try:
        check_key(key)
    except BadKey:
        return
    assert Location.parse(str(Location("data", key))) == Location("data", key)


@pytest.mark.parametrize("name", ["abc", "a.b-c", "1ab", "a" * 63, "sagemaker-us-east-1-000000000000"])
def test_bucket_names(name: str) -> None:
    assert is_bucket_name(name)


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "-ab", "ab-", "a_b", "aB", "a..b", ".ab", "ab.", "1.2.3.4", "ab\n", "ä-b"]
)
def test_names_that_no_bucket_has(name: str) -> None:
    assert not is_bucket_name(name)


@pytest.mark.parametrize("key", ["", "é" * 513, "\ud800"])
def test_keys_that_no_object_has(key: str) -> None:
    with pytest.raises(BadKey):
        check_key(key)
