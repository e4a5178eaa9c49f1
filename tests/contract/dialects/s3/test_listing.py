"""Listings through boto3: both versions, prefixes, delimiters, pages."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.dialects.s3.test_buckets import code

KEYS = ["a", "a/1", "a/2", "a/b/3", "a0", "b/", "b/1", "c d/x", "ü/ö", "z"]


@pytest.fixture(scope="module")
def filled(s3: Any) -> str:
    """A bucket of these keys that nobody changes."""
    return fill(s3, "listed")


def fill(s3: Any, bucket: str) -> str:
    s3.create_bucket(Bucket=bucket)
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def shown(page: dict[str, Any]) -> list[str]:
    """Keys and prefixes of a page, in order."""
    keys = [each["Key"] for each in page.get("Contents", [])]
    return sorted([*keys, *(each["Prefix"] for each in page.get("CommonPrefixes", []))], key=str.encode)


CASES = [
    ({}, KEYS),
    ({"Prefix": "a"}, ["a", "a/1", "a/2", "a/b/3", "a0"]),
    ({"Prefix": "a/"}, ["a/1", "a/2", "a/b/3"]),
    ({"Delimiter": "/"}, ["a", "a/", "a0", "b/", "c d/", "ü/", "z"]),
    ({"Delimiter": "/", "Prefix": "a/"}, ["a/1", "a/2", "a/b/"]),
    ({"Delimiter": "/", "Prefix": "b/"}, ["b/", "b/1"]),
    ({"Delimiter": "/b/"}, ["a", "a/1", "a/2", "a/b/", "a0", "b/", "b/1", "c d/x", "ü/ö", "z"]),
    ({"Prefix": "none"}, []),
    ({"Delimiter": "/", "Prefix": "ü"}, ["ü/"]),
]


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
@pytest.mark.parametrize(("asked", "expected"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_of_any_size_show_the_same(
    s3: Any, filled: str, operation: str, asked: dict[str, str], expected: list[str], size: int
) -> None:
    pages = list(s3.get_paginator(operation).paginate(Bucket=filled, PaginationConfig={"PageSize": size}, **asked))
    assert [each for page in pages for each in shown(page)] == sorted(expected, key=str.encode)
    assert all(len(shown(page)) == size for page in pages[:-1])


def test_an_entry_describes_its_object(s3: Any, filled: str) -> None:
    entry = s3.list_objects_v2(Bucket=filled, Prefix="c d/", FetchOwner=True)["Contents"][0]
    head = s3.head_object(Bucket=filled, Key="c d/x")
    assert (entry["Key"], entry["Size"], entry["ETag"]) == ("c d/x", 5, head["ETag"])
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert entry["Owner"]["ID"] == "000000000000"
    assert entry["ChecksumAlgorithm"] == ["CRC32"]
    assert "Owner" not in s3.list_objects_v2(Bucket=filled)["Contents"][0]


def test_listings_begin_after_a_key(s3: Any, filled: str) -> None:
    assert shown(s3.list_objects_v2(Bucket=filled, StartAfter="a/2"))[0] == "a/b/3"
    assert shown(s3.list_objects(Bucket=filled, Marker="a/2"))[0] == "a/b/3"
    assert shown(s3.list_objects(Bucket=filled, Marker="a/", Delimiter="/")) == ["a0", "b/", "c d/", "z", "ü/"]
    assert shown(s3.list_objects_v2(Bucket=filled, StartAfter="zz", Prefix="ü")) == ["ü/ö"]


def test_a_token_of_ours_alone_is_taken(s3: Any, filled: str) -> None:
    for token in ("x", "MA==", "", "%%%"):
        with pytest.raises(ClientError) as caught:
            s3.list_objects_v2(Bucket=filled, ContinuationToken=token)
        assert code(caught) == ("InvalidArgument", 400)


def test_no_keys_may_be_asked_for(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"], shown(page)) == (0, False, [])


def test_numbers_are_judged(s3: Any, filled: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket=filled, MaxKeys=-1)
    assert code(caught) == ("InvalidArgument", 400)
    assert s3.list_objects_v2(Bucket=filled, MaxKeys=5000)["MaxKeys"] == 1000


def test_objects_change_between_pages(s3: Any) -> None:
    changing = fill(s3, "changing")
    first = s3.list_objects_v2(Bucket=changing, MaxKeys=3)
    s3.delete_object(Bucket=changing, Key="a/2")
    s3.delete_object(Bucket=changing, Key="a/b/3")
    rest = s3.list_objects_v2(Bucket=changing, ContinuationToken=first["NextContinuationToken"])
    assert shown(rest) == [key for key in sorted(KEYS, key=str.encode) if key > "a/b/3"]


def test_each_object_has_one_version(s3: Any, filled: str) -> None:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=filled, PaginationConfig={"PageSize": 4})
    versions = [each for page in pages for each in page["Versions"]]
    assert [each["Key"] for each in versions] == sorted(KEYS, key=str.encode)
    assert all(each["VersionId"] == "null" and each["IsLatest"] for each in versions)


def test_a_folder_of_more_than_a_page_is_one_step(s3: Any, bucket: str, server: Any) -> None:
    for number in range(1100):
        with server.artifacts.put(bucket, f"many/{number:05d}") as writer:
            writer.commit()
    s3.put_object(Bucket=bucket, Key="z", Body=b"")
    assert shown(s3.list_objects_v2(Bucket=bucket, Delimiter="/")) == ["many/", "z"]
    keys = [
        each["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for each in page["Contents"]
    ]
    assert len(keys) == len(set(keys)) == 1101
