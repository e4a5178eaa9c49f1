"""Objects through boto3: bytes, metadata, keys, ranges, conditions, copies, tags."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.dialects.s3.server import S3Server
from tests.contract.dialects.s3.test_buckets import code

SIZES = [0, 1, 16 << 10, (16 << 10) + 1, 300_000, (1 << 20) + 1, 3_500_000]


def put(s3: Any, bucket: str, key: str, body: bytes = b"body", **fields: Any) -> str:
    """Put an object; its ETag."""
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body, **fields)["ETag"])


def get(s3: Any, bucket: str, key: str, **fields: Any) -> bytes:
    """The object's bytes."""
    return bytes(s3.get_object(Bucket=bucket, Key=key, **fields)["Body"].read())


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back(s3: Any, bucket: str, size: int) -> None:
    body = os.urandom(size)
    put(s3, bucket, "k", body)
    assert get(s3, bucket, "k") == body
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == size


def test_everything_said_about_an_object_comes_back(s3: Any, bucket: str) -> None:
    when = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    said = {
        "CacheControl": "no-cache",
        "ContentDisposition": 'attachment; filename="a.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/plain; charset=utf-8",
        "Metadata": {"who": "me", "a-b": "1, 2"},
        "ServerSideEncryption": "AES256",
        "StorageClass": "STANDARD_IA",
        "WebsiteRedirectLocation": "/other",
    }
    put(s3, bucket, "k", Expires=when, Tagging="a=1&b=%C3%A4", **said)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in said} == said
        assert answer["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"
        assert answer["AcceptRanges"] == "bytes"
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "ä"}]


def test_what_nobody_said_has_s3_s_default(s3: Any, bucket: str) -> None:
    put(s3, bucket, "k")
    answer = s3.head_object(Bucket=bucket, Key="k")
    assert answer["ContentType"] == "binary/octet-stream"
    assert answer["Metadata"] == {}
    assert abs(answer["LastModified"] - datetime.now(UTC)) < timedelta(seconds=60)


@pytest.mark.parametrize(
    "key",
    ["p", "p/q", "p//q", "/p", "a/../b", ".", "..", "a b+c%20d", "ü/日本/\U0001f600", "a?b=c&d#e", "<&>\"'", "a\\b",
     "\x01control\x7f", "line\nbreak", "a" * 1024, "é" * 512, "trailing/", "~-_.!*'()", "%2e%2e%2f", "a\x00b"],
)  # fmt: skip
def test_any_key_of_utf_8_names_its_own_object(s3: Any, bucket: str, key: str) -> None:
    put(s3, bucket, key, b"one")
    put(s3, bucket, "other", b"two")
    assert get(s3, bucket, key) == b"one"
    assert sorted(each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]) == sorted([key, "other"])
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "other"}]})
    s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_key_may_be_another_s_folder(s3: Any, bucket: str) -> None:
    put(s3, bucket, "p", b"1")
    put(s3, bucket, "p/q", b"2")
    assert (get(s3, bucket, "p"), get(s3, bucket, "p/q")) == (b"1", b"2")


def test_a_longer_key_is_refused(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        put(s3, bucket, "é" * 512 + "x")
    assert code(caught) == ("KeyTooLongError", 400)


def test_a_write_replaces_and_a_deletion_ends(server: S3Server, s3: Any, bucket: str) -> None:
    before = len(server.blob_files())
    for body in (os.urandom(50_000), b"small", os.urandom(60_000)):
        put(s3, bucket, "k", body)
        assert get(s3, bucket, "k") == body
    assert len(server.blob_files()) == before + 1
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")
    assert len(server.blob_files()) == before
    for call in (s3.get_object, s3.head_object):
        with pytest.raises(ClientError) as caught:
            call(Bucket=bucket, Key="k")
        assert code(caught)[1] == 404
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="k")


def test_a_reader_ends_with_the_bytes_it_began_with(server: S3Server, s3: Any, bucket: str) -> None:
    body = os.urandom(30 << 20)
    put(s3, bucket, "k", body)
    before = len(server.blob_files())
    stream = s3.get_object(Bucket=bucket, Key="k")["Body"]
    first = stream.read(1000)
    put(s3, bucket, "k", b"other")
    assert first + stream.read() == body
    stream.close()
    s3.list_buckets()
    assert len(server.blob_files()) == before - 1


@pytest.mark.parametrize("size", [10, 20_000])
@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=5-", 5, None),
        ("bytes=-3", -3, None),
        ("bytes=2-999999", 2, None),
        ("bytes=9-9", 9, 10),
    ],
)
def test_ranges(s3: Any, bucket: str, size: int, text: str, start: int, end: int | None) -> None:
    body = os.urandom(size)
    put(s3, bucket, "k", body)
    answer = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert answer["Body"].read() == body[start:end]
    first = range(size)[start]
    assert answer["ContentRange"] == f"bytes {first}-{first + len(body[start:end]) - 1}/{size}"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket=bucket, Key="k", Range=text)["ContentLength"] == len(body[start:end])


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_that_cannot_be_met(s3: Any, bucket: str, text: str) -> None:
    put(s3, bucket, "k", b"0123456789")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert code(caught) == ("InvalidRange", 416)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-range"] == "bytes */10"


@pytest.mark.parametrize("text", ["bytes=3-2", "lines=1-2", "bytes=0-1,4-5", "bytes=", "bytes=-"])
def test_what_is_no_single_range_is_answered_whole(s3: Any, bucket: str, text: str) -> None:
    put(s3, bucket, "k", b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert answer["Body"].read() == b"0123456789"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_conditions_of_reads(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "k")
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(hours=1)
    passing: list[dict[str, Any]] = [
        {"IfMatch": etag},
        {"IfMatch": f'"other", {etag}'},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": before},
        {"IfUnmodifiedSince": modified},
        {"IfMatch": etag, "IfUnmodifiedSince": before},
        {"IfNoneMatch": '"other"', "IfModifiedSince": after},
    ]
    for conditions in passing:
        assert get(s3, bucket, "k", **conditions) == b"body"
    failing: list[tuple[dict[str, Any], int]] = [
        ({"IfMatch": '"other"'}, 412),
        ({"IfUnmodifiedSince": before}, 412),
        ({"IfNoneMatch": etag}, 304),
        ({"IfNoneMatch": "*"}, 304),
        ({"IfModifiedSince": modified}, 304),
    ]
    for conditions, status in failing:
        for call in (s3.get_object, s3.head_object):
            with pytest.raises(ClientError) as caught:
                call(Bucket=bucket, Key="k", **conditions)
            assert code(caught)[1] == status


def test_conditions_of_writes(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "k", b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        put(s3, bucket, "k", b"2", IfNoneMatch="*")
    assert code(caught) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as caught:
        put(s3, bucket, "k", b"2", IfMatch='"other"')
    assert code(caught) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as caught:
        put(s3, bucket, "none", b"2", IfMatch=etag)
    assert code(caught) == ("NoSuchKey", 404)
    assert get(s3, bucket, "k") == b"1"
    put(s3, bucket, "k", b"2", IfMatch=etag)
    with pytest.raises(ClientError) as caught:
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert code(caught) == ("PreconditionFailed", 412)
    assert get(s3, bucket, "k") == b"2"


def test_tags_are_set_replaced_and_judged(s3: Any, bucket: str) -> None:
    put(s3, bucket, "k")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    assert s3.head_object(Bucket=bucket, Key="k")["TagCount"] == 2
    wrong = [
        [{"Key": str(number), "Value": ""} for number in range(11)],
        [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}],
        [{"Key": "k" * 129, "Value": ""}],
        [{"Key": "k", "Value": "v" * 257}],
    ]
    for tag_set in wrong:
        with pytest.raises(ClientError) as caught:
            s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tag_set})
        assert code(caught) == ("InvalidTag", 400)
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    with pytest.raises(ClientError) as caught:
        s3.get_object_tagging(Bucket=bucket, Key="none")
    assert code(caught) == ("NoSuchKey", 404)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_copy_has_the_bytes_and_what_was_said(server: S3Server, s3: Any, bucket: str, size: int) -> None:
    body, before = os.urandom(size), len(server.blob_files())
    etag = put(s3, bucket, "ä from", body, Metadata={"a": "1"}, ContentType="text/x", Tagging="t=1")
    source = {"Bucket": bucket, "Key": "ä from"}
    made = s3.copy_object(Bucket=bucket, Key="to", CopySource=source)["CopyObjectResult"]
    assert made["ETag"] == etag
    s3.copy_object(
        Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"},
        TaggingDirective="REPLACE", Tagging="u=2",
    )  # fmt: skip
    s3.delete_object(**source)
    assert get(s3, bucket, "to") == body == get(s3, bucket, "other")
    first, second = (s3.head_object(Bucket=bucket, Key=key) for key in ("to", "other"))
    assert (first["Metadata"], first["ContentType"]) == ({"a": "1"}, "text/x")
    assert (second["Metadata"], second["ContentType"]) == ({"b": "2"}, "binary/octet-stream")
    assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="other")["TagSet"] == [{"Key": "u", "Value": "2"}]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "to"}, {"Key": "other"}]})
    assert len(server.blob_files()) == before


def test_a_copy_onto_itself_must_change_something(s3: Any, bucket: str) -> None:
    put(s3, bucket, "k", b"1" * 20_000)
    source = {"Bucket": bucket, "Key": "k"}
    with pytest.raises(ClientError) as caught:
        s3.copy_object(CopySource=source, **source)
    assert code(caught) == ("InvalidRequest", 400)
    s3.copy_object(CopySource=source, **source, MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert get(s3, bucket, "k") == b"1" * 20_000
    assert s3.head_object(**source)["Metadata"] == {"new": "1"}


def test_conditions_of_copies(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "from")
    source = {"Bucket": bucket, "Key": "from"}
    for fields in ({"CopySourceIfMatch": '"x"'}, {"CopySourceIfNoneMatch": etag}, {"IfMatch": etag, "Key": "from"}):
        target = {"Bucket": bucket, "Key": "to", **fields}
        if "CopySourceIfMatch" in fields or "CopySourceIfNoneMatch" in fields:
            with pytest.raises(ClientError) as caught:
                s3.copy_object(CopySource=source, **target)
            assert code(caught) == ("PreconditionFailed", 412)
    s3.copy_object(CopySource=source, Bucket=bucket, Key="to", CopySourceIfMatch=etag)
    with pytest.raises(ClientError) as caught:
        s3.copy_object(CopySource={"Bucket": bucket, "Key": "none"}, Bucket=bucket, Key="to")
    assert code(caught) == ("NoSuchKey", 404)


def test_many_are_deleted_at_once(s3: Any, bucket: str) -> None:
    for number in range(5):
        put(s3, bucket, f"k{number}")
    chosen = [{"Key": f"k{number}"} for number in range(4)] + [{"Key": "never was"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": chosen})
    assert [each["Key"] for each in answer["Deleted"]] == [each["Key"] for each in chosen]
    assert "Deleted" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k4"}], "Quiet": True})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    with pytest.raises(ClientError) as caught:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{number}"} for number in range(1001)]})
    assert code(caught) == ("MalformedXML", 400)


def test_the_answer_s_headers_can_be_chosen(s3: Any, bucket: str) -> None:
    put(s3, bucket, "k")
    answer = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="x/y", ResponseContentDisposition="inline")
    assert (answer["ContentType"], answer["ContentDisposition"]) == ("x/y", "inline")


def test_what_silence_would_betray_is_refused(s3: Any, bucket: str) -> None:
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": datetime(2040, 1, 1, tzinfo=UTC)}
    refused = [lambda: put(s3, bucket, "k", **lock)]
    for call in refused:
        with pytest.raises(ClientError) as caught:
            call()
        assert code(caught) == ("NotImplemented", 501)
    with pytest.raises(ClientError) as caught:
        put(s3, bucket, "k", Metadata={"k": "v" * 3000})
    assert code(caught) == ("MetadataTooLarge", 400)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", VersionId="1")
    assert code(caught) == ("NoSuchVersion", 404)


def test_attributes(s3: Any, bucket: str) -> None:
    etag = put(s3, bucket, "k", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert (answer["ETag"], answer["ObjectSize"], answer["StorageClass"]) == (etag.strip('"'), 4, "STANDARD")
    assert set(answer["Checksum"]) == {"ChecksumSHA256", "ChecksumType"}
