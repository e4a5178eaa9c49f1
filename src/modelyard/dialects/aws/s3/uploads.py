"""Uploads in parts over S3.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html and its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelyard.base.errors import NotFound
from modelyard.core.artifacts.model import Checksums, ChecksumType, Part, StoredObject, Upload
from modelyard.core.artifacts.uploads import PART_NUMBERS, Chosen
from modelyard.core.artifacts.writing import PartWriter
from modelyard.dialects.aws.s3.call import S3Call, empty, operation, xml
from modelyard.dialects.aws.s3.checksums import ALGORITHMS, HEADERS, allows, default_type, join
from modelyard.dialects.aws.s3.copying import copy_part
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.listing import Encoder, owner_fields
from modelyard.dialects.aws.s3.payload import Stated, stated, take
from modelyard.dialects.aws.s3.threads import in_thread
from modelyard.dialects.aws.s3.translate import (
    checksum_fields,
    checksum_headers,
    properties,
    quoted,
    unquoted,
    write_condition,
    written,
)
from modelyard.dialects.aws.s3.xml import Element, Field, timestamp
from modelyard.edge.http import Response


@operation("object", "POST", "uploads")
async def create_multipart_upload(call: S3Call) -> Response:
    algorithm = call.header("x-amz-checksum-algorithm").upper() or None
    kind = _checksum_type(call.header("x-amz-checksum-type"), algorithm)
    about = properties(call.request)
    upload = await in_thread(call.artifacts.uploads.create, call.bucket, call.key, about, algorithm, kind)
    headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)]
    return xml(
        "InitiateMultipartUploadResult",
        [("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.id)],
        tuple((name, value) for name, value in headers if value),
    )


@operation("object", "PUT", "uploadId")
async def upload_part(call: S3Call) -> Response:
    number = _part_number(call)
    upload = call.artifacts.uploads.get(call.query["uploadId"], call.bucket, call.key)
    if call.header("x-amz-copy-source"):
        return await copy_part(call, upload, number)
    said = stated(call.request, call.framing)
    _agree(upload, said)

    def begin() -> PartWriter:
        return call.artifacts.uploads.put_part(upload, number, said.size)

    def commit(writer: PartWriter, checksums: Mapping[str, str]) -> Part:
        return writer.commit(Checksums("FULL_OBJECT", checksums))

    part = await take(call.request.chunks, said, begin, commit)
    checks = [pair for pair in checksum_headers(Checksums("FULL_OBJECT", part.checksums)) if "-type" not in pair[0]]
    return empty(200, (("etag", quoted(part.etag)), *checks))


@operation("object", "POST", "uploadId")
async def complete_multipart_upload(call: S3Call) -> Response:
    upload_id = call.query["uploadId"]
    chosen = _chosen(await call.document("CompleteMultipartUpload", checksums=False))
    made = await in_thread(_complete, call, upload_id, chosen)
    fields: list[Field] = [
        ("Location", f"{call.request.scheme}://{call.header('host')}/{call.bucket}/{call.key}"),
        ("Bucket", call.bucket),
        ("Key", call.key),
        ("ETag", quoted(made.etag)),
        *checksum_fields(made.checksums.values),
    ]
    if made.checksums.values:
        fields.append(("ChecksumType", made.checksums.type))
    headers = [pair for pair in written(made) if pair[0].startswith("x-amz-server")]
    return xml("CompleteMultipartUploadResult", fields, tuple(headers))


@operation("object", "DELETE", "uploadId")
async def abort_multipart_upload(call: S3Call) -> Response:
    def abort() -> None:
        uploads = call.artifacts.uploads
        uploads.abort(uploads.get(call.query["uploadId"], call.bucket, call.key))

    await in_thread(abort)
    return empty(204)


@operation("object", "GET", "uploadId")
async def list_parts(call: S3Call) -> Response:
    upload = call.artifacts.uploads.get(call.query["uploadId"], call.bucket, call.key)
    most = call.number("max-parts", 1000, 1000)
    marker = call.number("part-number-marker", 0, len(PART_NUMBERS))
    found = call.artifacts.uploads.parts(upload, marker, most + 1)
    shown = found[:most]
    return xml(
        "ListPartsResult",
        [
            ("Bucket", call.bucket),
            ("Key", call.key),
            ("UploadId", upload.id),
            *owner_fields(call, "Initiator"),
            *owner_fields(call),
            ("StorageClass", upload.properties.headers.get("x-amz-storage-class", "STANDARD")),
            ("PartNumberMarker", marker),
            ("NextPartNumberMarker", shown[-1].number if shown else 0),
            ("MaxParts", most),
            ("IsTruncated", len(found) > most),
            ("ChecksumAlgorithm", upload.algorithm),
            ("ChecksumType", upload.checksum_type),
            *(("Part", _part_fields(part)) for part in shown),
        ],
    )


@operation("bucket", "GET", "uploads")
async def list_multipart_uploads(call: S3Call) -> Response:
    query = call.query
    encode = Encoder(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    most = call.number("max-uploads", 1000, 1000)
    marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    after = (marker, id_marker or "\x7f") if marker else ("", "")
    found = await in_thread(call.artifacts.uploads.list, call.bucket, prefix, after, most + 1)
    shown, prefixes = _rolled(found[:most], prefix, delimiter)
    truncated = len(found) > most
    return xml(
        "ListMultipartUploadsResult",
        [
            ("Bucket", call.bucket),
            ("KeyMarker", encode(marker)),
            ("UploadIdMarker", id_marker),
            ("NextKeyMarker", encode(found[most - 1].key) if truncated and most else None),
            ("NextUploadIdMarker", found[most - 1].id if truncated and most else None),
            ("Prefix", encode(prefix)),
            ("Delimiter", encode(delimiter) if delimiter else None),
            ("MaxUploads", most),
            ("IsTruncated", truncated),
            ("EncodingType", encode.kind),
            *(("Upload", _upload_fields(call, encode, upload)) for upload in shown),
            *(("CommonPrefixes", [("Prefix", encode(common))]) for common in prefixes),
        ],
    )


def _complete(call: S3Call, upload_id: str, chosen: Sequence[Chosen]) -> StoredObject:
    uploads = call.artifacts.uploads
    try:
        upload = uploads.get(upload_id, call.bucket, call.key)
    except NotFound:
        done = uploads.completed(upload_id, call.bucket, call.key)
        if done is None:
            raise
        return done
    parts = uploads.choose(upload, chosen)
    size = call.header("x-amz-mp-object-size")
    if size and size != str(sum(part.size for part in parts)):
        raise S3Error("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed.")
    checksums = _joined(upload, parts)
    for header, name in HEADERS.items():
        expected = call.header(header)
        if expected and checksums.values.get(name, expected).partition("-")[0] != expected.partition("-")[0]:
            raise S3Error("BadDigest", f"The {name.lower()} you specified did not match what we received.")
    return uploads.complete(upload, parts, checksums, write_condition(call.request))


def _joined(upload: Upload, parts: Sequence[Part]) -> Checksums:
    algorithm, kind = upload.algorithm, upload.checksum_type
    if algorithm is None or kind is None:
        return Checksums()
    return Checksums(
        kind, {algorithm: join(algorithm, kind, [(part.checksums[algorithm], part.size) for part in parts])}
    )


def _chosen(root: Element) -> list[Chosen]:
    chosen: list[Chosen] = []
    for part in root.all("Part"):
        number, etag = part.get("PartNumber") or "", part.get("ETag")
        if not (number.isascii() and number.isdigit() and len(number) < 6) or etag is None:
            raise S3Error("MalformedXML")
        if chosen and int(number) <= chosen[-1].number:
            raise S3Error("InvalidPartOrder")
        checksums = {name: value for name in ALGORITHMS if (value := part.get(f"Checksum{name}"))}
        chosen.append(Chosen(int(number), unquoted(etag), checksums))
    if not 0 < len(chosen) <= len(PART_NUMBERS):
        raise S3Error("MalformedXML")
    return chosen


def _checksum_type(stated: str, algorithm: str | None) -> ChecksumType | None:
    if algorithm is None:
        if stated:
            raise S3Error("InvalidRequest", "The x-amz-checksum-type header needs x-amz-checksum-algorithm")
        return None
    if algorithm not in ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with another.")
    kind: ChecksumType = default_type(algorithm)
    if stated:
        kind = "FULL_OBJECT" if stated == "FULL_OBJECT" else "COMPOSITE"
        if stated != kind or not allows(algorithm, kind):
            raise S3Error(
                "InvalidRequest",
                f"The {stated} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
            )
    return kind


def _agree(upload: Upload, said: Stated) -> None:
    """The part's checksum is of the upload's algorithm, computed if the client states none."""
    named = [*said.checksums, *([said.trailing] if said.trailing else [])]
    if upload.algorithm is None:
        return
    for name in named:
        if name != upload.algorithm:
            raise S3Error(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, actual "
                f"checksum Type: {name.lower()}",
            )
    said.computed = upload.algorithm


def _part_number(call: S3Call) -> int:
    text = call.query.get("partNumber", "")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) in PART_NUMBERS):
        raise S3Error(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=text,
        )
    return int(text)


def _part_fields(part: Part) -> list[Field]:
    return [
        ("PartNumber", part.number),
        ("LastModified", timestamp(part.modified)),
        ("ETag", quoted(part.etag)),
        ("Size", part.size),
        *checksum_fields(part.checksums),
    ]


def _upload_fields(call: S3Call, encode: Encoder, upload: Upload) -> list[Field]:
    return [
        ("UploadId", upload.id),
        ("Key", encode(upload.key)),
        ("Initiated", timestamp(upload.created)),
        ("StorageClass", upload.properties.headers.get("x-amz-storage-class", "STANDARD")),
        *owner_fields(call),
        *owner_fields(call, "Initiator"),
        ("ChecksumAlgorithm", upload.algorithm),
        ("ChecksumType", upload.checksum_type),
    ]


def _rolled(found: Sequence[Upload], prefix: str, delimiter: str) -> tuple[list[Upload], list[str]]:
    """Uploads shown themselves, and the common prefixes of the others."""
    shown: list[Upload] = []
    prefixes: dict[str, None] = {}
    for upload in found:
        end = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            shown.append(upload)
        else:
            prefixes[upload.key[: end + len(delimiter)]] = None
    return shown, list(prefixes)
