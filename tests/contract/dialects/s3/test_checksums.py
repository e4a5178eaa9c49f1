"""Checksums through boto3: verified, stored, returned, joined."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.dialects.s3.server import S3Server
from tests.contract.dialects.s3.test_buckets import code
from tests.contract.dialects.s3.test_uploads import FIRST, Upload

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
CHECKED = b"123456789"
KNOWN = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}
"""The published check values of the CRCs over ``CHECKED``."""


def value(algorithm: str, body: bytes) -> str:
    """A checksum computed without the code under test."""
    if algorithm == "CRC32":
        return base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()
    if algorithm.startswith("SHA"):
        return base64.b64encode(hashlib.new(algorithm.lower(), body).digest()).decode()
    assert body == CHECKED
    return base64.b64encode(bytes.fromhex(KNOWN[algorithm])).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("body", [CHECKED, b"x" * 2_000_000])
def test_a_checksum_is_verified_stored_and_returned(s3: Any, bucket: str, algorithm: str, body: bytes) -> None:
    made = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    if body == CHECKED:
        assert made[f"Checksum{algorithm}"] == value(algorithm, body)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == made[f"Checksum{algorithm}"]
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert f"Checksum{algorithm}" not in s3.head_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == body
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-3")["Body"].read() == body[:4]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_checksum_is_refused_and_nothing_stays(server: S3Server, s3: Any, bucket: str, algorithm: str) -> None:
    wrong = base64.b64encode(bytes({"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[algorithm]))
    for body in (CHECKED, os.urandom(3_000_000)):
        before = len(server.blob_files())
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key="k", Body=body, **{f"Checksum{algorithm}": wrong.decode()})
        assert code(caught) == ("BadDigest", 400)
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket=bucket, Key="k")
        assert len(server.blob_files()) == before
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=body, **{f"Checksum{algorithm}": "AAA="})
    assert code(caught) == ("InvalidRequest", 400)


def test_content_md5(s3: Any, bucket: str) -> None:
    digest = base64.b64encode(hashlib.md5(CHECKED).digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=CHECKED, ContentMD5=digest)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", ContentMD5=digest)
    assert code(caught) == ("BadDigest", 400)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", ContentMD5="short")
    assert code(caught) == ("InvalidDigest", 400)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == CHECKED


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_parts_join_to_a_composite(s3: Any, bucket: str, algorithm: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm)
    assert upload.started["ChecksumType"] == "COMPOSITE"
    upload.part(1, FIRST, ChecksumAlgorithm=algorithm)
    upload.part(2, b"tail", ChecksumAlgorithm=algorithm)
    made = upload.complete()
    joined = b"".join(base64.b64decode(upload.parts[number][f"Checksum{algorithm}"]) for number in (1, 2))
    if algorithm != "CRC32C":
        assert made[f"Checksum{algorithm}"] == f"{value(algorithm, joined)}-2"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (made[f"Checksum{algorithm}"], "COMPOSITE")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == FIRST + b"tail"
    asked = ["Checksum", "ObjectParts"]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=asked)
    assert attributes["ObjectParts"]["Parts"][1][f"Checksum{algorithm}"] == upload.parts[2][f"Checksum{algorithm}"]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_parts_join_to_the_checksum_of_the_whole(s3: Any, bucket: str, algorithm: str) -> None:
    whole = s3.put_object(Bucket=bucket, Key="whole", Body=FIRST + b"tail", ChecksumAlgorithm=algorithm)
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    upload.part(1, FIRST, ChecksumAlgorithm=algorithm)
    upload.part(2, b"tail", ChecksumAlgorithm=algorithm)
    expected = whole[f"Checksum{algorithm}"]
    wrong = base64.b64encode(bytes(len(base64.b64decode(expected)))).decode()
    with pytest.raises(ClientError) as caught:
        upload.complete(**{f"Checksum{algorithm}": wrong, "ChecksumType": "FULL_OBJECT"})
    assert code(caught) == ("BadDigest", 400)
    made = upload.complete(**{f"Checksum{algorithm}": expected, "ChecksumType": "FULL_OBJECT"})
    assert (made[f"Checksum{algorithm}"], made["ChecksumType"]) == (expected, "FULL_OBJECT")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == FIRST + b"tail"


def test_checksums_of_uploads_are_judged(s3: Any, bucket: str) -> None:
    for fields in (
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
    ):
        with pytest.raises(ClientError) as caught:
            s3.create_multipart_upload(Bucket=bucket, Key="k", **fields)
        assert code(caught) == ("InvalidRequest", 400)
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError) as caught:
        upload.part(1, b"x", ChecksumAlgorithm="SHA1")
    assert code(caught) == ("InvalidRequest", 400)
    part = upload.part(1, b"x", ChecksumAlgorithm="SHA256")
    upload.parts[1]["ChecksumSHA256"] = value("SHA256", b"y")
    with pytest.raises(ClientError) as caught:
        upload.complete()
    assert code(caught) == ("InvalidPart", 400)
    upload.parts[1]["ChecksumSHA256"] = part["ChecksumSHA256"]
    upload.complete()


def test_a_copy_may_ask_for_another_checksum(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="from", Body=CHECKED)
    source = {"CopySource": {"Bucket": bucket, "Key": "from"}, "Bucket": bucket, "Key": "to"}
    assert s3.copy_object(**source)["CopyObjectResult"]["ChecksumCRC32"] == value("CRC32", CHECKED)
    made = s3.copy_object(**source, ChecksumAlgorithm="SHA256")["CopyObjectResult"]
    assert made["ChecksumSHA256"] == value("SHA256", CHECKED)
