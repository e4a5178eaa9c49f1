"""Listings over S3: versions 1 and 2, and the versions of objects, of which each has one.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and its neighbours.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import quote

from modelyard.core.artifacts.model import ObjectPage, StoredObject
from modelyard.dialects.aws.s3.call import S3Call, operation, xml
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.translate import quoted
from modelyard.dialects.aws.s3.xml import Field, timestamp
from modelyard.edge.http import Response


class Encoder:
    """Keys as the listing shows them: percent-encoded when the client asked for it."""

    def __init__(self, call: S3Call) -> None:
        self.kind = call.query.get("encoding-type") or None
        if self.kind not in (None, "url"):
            raise S3Error(
                "InvalidArgument",
                "Invalid Encoding Method specified in Request",
                ArgumentName="encoding-type",
                ArgumentValue=str(self.kind),
            )

    def __call__(self, text: str) -> str:
        return quote(text, safe="/~") if self.kind else text


@operation("bucket", "GET", "list-type")
async def list_objects_v2(call: S3Call) -> Response:
    if call.query["list-type"] != "2":
        raise S3Error("InvalidArgument", "Invalid List Type specified in Request", ArgumentName="list-type")
    encode = Encoder(call)
    token, start = call.query.get("continuation-token"), call.query.get("start-after", "")
    after = _position(token) if token is not None else start.encode()
    page, most = _page(call, after)
    owner = owner_fields(call) if call.query.get("fetch-owner") == "true" else []
    return xml(
        "ListBucketResult",
        [
            ("Name", call.bucket),
            ("Prefix", encode(call.query.get("prefix", ""))),
            ("Delimiter", encode(call.query["delimiter"]) if call.query.get("delimiter") else None),
            ("MaxKeys", most),
            ("EncodingType", encode.kind),
            ("KeyCount", len(page.objects) + len(page.prefixes)),
            ("IsTruncated", page.next is not None),
            ("ContinuationToken", token),
            ("NextContinuationToken", _token(page.next) if page.next is not None else None),
            ("StartAfter", encode(start) if start else None),
            *(("Contents", _object_fields(found, encode, owner)) for found in page.objects),
            *_prefix_fields(page, encode),
        ],
    )


@operation("bucket", "GET")
async def list_objects(call: S3Call) -> Response:
    encode = Encoder(call)
    marker, delimiter = call.query.get("marker", ""), call.query.get("delimiter", "")
    page, most = _page(call, marker.encode())
    owner = owner_fields(call)
    return xml(
        "ListBucketResult",
        [
            ("Name", call.bucket),
            ("Prefix", encode(call.query.get("prefix", ""))),
            ("Marker", encode(marker)),
            ("NextMarker", encode(page.last) if page.next is not None and delimiter else None),
            ("MaxKeys", most),
            ("Delimiter", encode(delimiter) if delimiter else None),
            ("EncodingType", encode.kind),
            ("IsTruncated", page.next is not None),
            *(("Contents", _object_fields(found, encode, owner)) for found in page.objects),
            *_prefix_fields(page, encode),
        ],
    )


@operation("bucket", "GET", "versions")
async def list_object_versions(call: S3Call) -> Response:
    encode = Encoder(call)
    marker, delimiter = call.query.get("key-marker", ""), call.query.get("delimiter", "")
    page, most = _page(call, marker.encode())
    owner = owner_fields(call)
    return xml(
        "ListVersionsResult",
        [
            ("Name", call.bucket),
            ("Prefix", encode(call.query.get("prefix", ""))),
            ("KeyMarker", encode(marker)),
            ("VersionIdMarker", call.query.get("version-id-marker", "")),
            ("NextKeyMarker", encode(page.last) if page.next is not None else None),
            ("NextVersionIdMarker", "null" if page.next is not None else None),
            ("MaxKeys", most),
            ("Delimiter", encode(delimiter) if delimiter else None),
            ("EncodingType", encode.kind),
            ("IsTruncated", page.next is not None),
            *(("Version", _version_fields(found, encode, owner)) for found in page.objects),
            *_prefix_fields(page, encode),
        ],
    )


def owner_fields(call: S3Call, name: str = "Owner") -> list[Field]:
    return [(name, [("ID", call.owner.account), ("DisplayName", call.owner.account)])]


def _page(call: S3Call, after: bytes) -> tuple[ObjectPage, int]:
    most = call.number("max-keys", 1000, 1000)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    return call.artifacts.list_objects(call.bucket, prefix, delimiter, after, most), most


def _object_fields(found: StoredObject, encode: Encoder, owner: list[Field]) -> list[Field]:
    fields: list[Field] = [
        ("Key", encode(found.key)),
        ("LastModified", timestamp(found.modified)),
        ("ETag", quoted(found.etag)),
    ]
    for algorithm in found.checksums.values:
        fields.append(("ChecksumAlgorithm", algorithm))
    if found.checksums.values:
        fields.append(("ChecksumType", found.checksums.type))
    return [*fields, ("Size", found.size), *owner, ("StorageClass", "STANDARD")]


def _version_fields(found: StoredObject, encode: Encoder, owner: list[Field]) -> list[Field]:
    return [*_object_fields(found, encode, owner), ("VersionId", "null"), ("IsLatest", True)]


def _prefix_fields(page: ObjectPage, encode: Encoder) -> list[Field]:
    return [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]


def _token(position: bytes) -> str:
    return base64.urlsafe_b64encode(b"1" + position).decode()


def _position(token: str) -> bytes:
    try:
        position = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        position = b""
    if position[:1] != b"1":
        raise S3Error(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            ArgumentName="continuation-token",
        )
    return position[1:]
