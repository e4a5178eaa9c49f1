"""Uploads in parts through boto3."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.contract.dialects.s3.server import S3Server
from tests.contract.dialects.s3.test_buckets import code

MIB = 1 << 20
FIRST = os.urandom(5 * MIB)


class Upload:
    """An upload under way, its parts by number."""

    def __init__(self, s3: Any, bucket: str, key: str = "k", **fields: Any) -> None:
        self.s3, self.about = s3, {"Bucket": bucket, "Key": key}
        self.started = s3.create_multipart_upload(**self.about, **fields)
        self.about["UploadId"] = self.started["UploadId"]
        self.parts: dict[int, dict[str, Any]] = {}

    def part(self, number: int, body: bytes, **fields: Any) -> dict[str, Any]:
        answer = self.s3.upload_part(**self.about, PartNumber=number, Body=body, **fields)
        kept = {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}
        self.parts[number] = {"PartNumber": number, **kept}
        return dict(answer)

    def complete(self, *numbers: int, **fields: Any) -> dict[str, Any]:
        chosen = [self.parts[number] for number in numbers or sorted(self.parts)]
        return dict(self.s3.complete_multipart_upload(**self.about, MultipartUpload={"Parts": chosen}, **fields))


def test_parts_make_an_object(server: S3Server, s3: Any, bucket: str) -> None:
    before = len(server.blob_files())
    upload = Upload(s3, bucket, Metadata={"a": "1"}, ContentType="x/y", Tagging="t=1")
    upload.part(7, b"last")
    upload.part(2, b"replaced" * MIB)
    upload.part(2, FIRST)
    upload.part(5, b"never chosen")
    assert [each["PartNumber"] for each in s3.list_parts(**upload.about)["Parts"]] == [2, 5, 7]
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="k")
    made = upload.complete(2, 7)
    found = s3.get_object(Bucket=bucket, Key="k")
    assert found["Body"].read() == FIRST + b"last"
    assert found["ETag"] == made["ETag"]
    assert made["ETag"].endswith('-2"')
    assert (found["Metadata"], found["ContentType"], found["TagCount"]) == ({"a": "1"}, "x/y", 1)
    assert s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 2}-")["Body"].read() == FIRST[-2:] + b"last"
    assert len(server.blob_files()) == before + 2
    s3.delete_object(Bucket=bucket, Key="k")
    assert len(server.blob_files()) == before


def test_an_object_s_parts_can_be_read_one_by_one(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(1, FIRST)
    upload.part(2, b"tail")
    upload.complete()
    answer = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert answer["Body"].read() == b"tail"
    assert answer["PartsCount"] == 2
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == 5 * MIB
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", PartNumber=3)
    assert code(caught)[1] == 416
    parts = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert parts["TotalPartsCount"] == 2


def test_asking_again_for_the_answer_to_completing(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(1, b"only")
    first = upload.complete()
    assert upload.complete()["ETag"] == first["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    with pytest.raises(s3.exceptions.NoSuchUpload):
        upload.complete()


def test_what_is_given_up_is_gone(server: S3Server, s3: Any, bucket: str) -> None:
    before = len(server.blob_files())
    upload = Upload(s3, bucket)
    upload.part(1, b"x")
    s3.abort_multipart_upload(**upload.about)
    assert len(server.blob_files()) == before
    for call in (s3.list_parts, s3.abort_multipart_upload):
        with pytest.raises(s3.exceptions.NoSuchUpload):
            call(**upload.about)
    with pytest.raises(s3.exceptions.NoSuchUpload):
        upload.part(2, b"y")
    assert len(server.blob_files()) == before


def test_wrong_completions_change_nothing(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(1, b"small")
    upload.part(2, b"last")
    for numbers, expected in (((2, 1), "InvalidPartOrder"), ((1, 1), "InvalidPartOrder"), ((1, 2), "EntityTooSmall")):
        with pytest.raises(ClientError) as caught:
            upload.complete(*numbers)
        assert code(caught) == (expected, 400)
    upload.parts[9] = {"PartNumber": 9, "ETag": '"00000000000000000000000000000000"'}
    for number, etag in ((9, upload.parts[9]["ETag"]), (2, '"00000000000000000000000000000000"')):
        with pytest.raises(ClientError) as caught:
            s3.complete_multipart_upload(
                **upload.about, MultipartUpload={"Parts": [{"PartNumber": number, "ETag": etag}]}
            )
        assert code(caught) == ("InvalidPart", 400)
    with pytest.raises(ClientError) as caught:
        upload.complete(2, MpuObjectSize=99)
    assert code(caught) == ("InvalidRequest", 400)
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**upload.about, MultipartUpload={"Parts": []})
    assert code(caught) == ("MalformedXML", 400)
    assert len(s3.list_parts(**upload.about)["Parts"]) == 2
    upload.complete(2, IfNoneMatch="*", MpuObjectSize=4)


def test_numbers_of_parts(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.part(10_000, b"x")
    for number in (0, 10_001):
        with pytest.raises(ClientError) as caught:
            upload.part(number, b"x")
        assert code(caught) == ("InvalidArgument", 400)


def test_completing_obeys_conditions(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload = Upload(s3, bucket)
    upload.part(1, b"x")
    with pytest.raises(ClientError) as caught:
        upload.complete(IfNoneMatch="*")
    assert code(caught) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"there"


@pytest.mark.parametrize("size", [6 * MIB, 9000])
def test_parts_are_copied_from_ranges(server: S3Server, s3: Any, bucket: str, size: int) -> None:
    body = os.urandom(size)
    etag = s3.put_object(Bucket=bucket, Key="from", Body=body)["ETag"]
    before = len(server.blob_files())
    upload = Upload(s3, bucket, "to")
    source = {"CopySource": {"Bucket": bucket, "Key": "from"}}
    made = s3.upload_part_copy(
        **upload.about, **source, PartNumber=1, CopySourceRange=f"bytes=0-{size - 101}", CopySourceIfMatch=etag
    )["CopyPartResult"]
    upload.parts[1] = {"PartNumber": 1, "ETag": made["ETag"]}
    if size >= 5 * MIB + 100:
        assert len(server.blob_files()) == before
        tail = s3.upload_part_copy(
            **upload.about, **source, PartNumber=2, CopySourceRange=f"bytes={size - 100}-{size - 1}"
        )["CopyPartResult"]
        upload.parts[2] = {"PartNumber": 2, "ETag": tail["ETag"]}
    s3.delete_object(Bucket=bucket, Key="from")
    upload.complete()
    expected = body if 2 in upload.parts else body[:-100]
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == expected


def test_copied_parts_obey_ranges_and_conditions(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="from", Body=b"0123456789")
    upload = Upload(s3, bucket, "to")
    source = {"CopySource": {"Bucket": bucket, "Key": "from"}, "PartNumber": 1}
    for fields, expected in (
        ({"CopySourceRange": "bytes=0-10"}, ("InvalidRange", 400)),
        ({"CopySourceRange": "bytes=5-"}, ("InvalidArgument", 400)),
        ({"CopySourceIfMatch": '"other"'}, ("PreconditionFailed", 412)),
    ):
        with pytest.raises(ClientError) as caught:
            s3.upload_part_copy(**upload.about, **source, **fields)
        assert code(caught) == expected


def test_boto3_s_own_transfers(s3: Any, bucket: str) -> None:
    body = os.urandom(20 * MIB + 5)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.upload_fileobj(io.BytesIO(body), bucket, "up", Config=config, ExtraArgs={"Metadata": {"a": "1"}})
    s3.copy({"Bucket": bucket, "Key": "up"}, bucket, "copied", Config=config)
    for key in ("up", "copied"):
        target = io.BytesIO()
        s3.download_fileobj(bucket, key, target, Config=config)
        assert target.getvalue() == body


def test_uploads_are_listed(s3: Any, bucket: str) -> None:
    ids = {key: Upload(s3, bucket, key).about["UploadId"] for key in ("a/1", "a/2", "b")}
    again = Upload(s3, bucket, "a/1").about["UploadId"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    found = [(each["Key"], each["UploadId"]) for page in pages for each in page["Uploads"]]
    assert found == sorted([*ids.items(), ("a/1", again)])
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [each["Prefix"] for each in rolled["CommonPrefixes"]] == ["a/"]
    assert [each["Key"] for each in rolled["Uploads"]] == ["b"]
    assert len(s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]) == 3


def test_parts_are_listed_by_pages(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number in (1, 3, 8):
        upload.part(number, str(number).encode())
    pages = s3.get_paginator("list_parts").paginate(**upload.about, PaginationConfig={"PageSize": 2})
    assert [[each["PartNumber"] for each in page["Parts"]] for page in pages] == [[1, 3], [8]]
