"""Objects over S3: put, get, head, delete, tags, attributes.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html and its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from modelyard.core.artifacts.model import Checksums, StoredObject
from modelyard.core.artifacts.reading import ObjectReader
from modelyard.core.artifacts.writing import ObjectWriter
from modelyard.dialects.aws.s3.call import S3Call, empty, operation, xml
from modelyard.dialects.aws.s3.conditions import Selection, check_read, select
from modelyard.dialects.aws.s3.copying import copy_object
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.payload import stated, take
from modelyard.dialects.aws.s3.threads import in_thread
from modelyard.dialects.aws.s3.translate import (
    checksum_fields,
    described,
    properties,
    refuse_unsupported,
    tag_fields,
    tags_of_document,
    write_condition,
    written,
)
from modelyard.dialects.aws.s3.xml import Field
from modelyard.edge.http import Response

_AT_ONCE = 256 << 10
"""Bytes that are read without a thread: fewer than a thread's switch costs."""
_WHOLE = 1 << 20
"""Bytes that a thread reads in one go. What is longer goes out in pieces, one of them read ahead."""
_PIECE = 256 << 10

_OVERRIDES = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}


@operation("object", "GET")
async def get_object(call: S3Call) -> Response:
    _check_version(call)
    reader = call.artifacts.open(call.bucket, call.key)
    try:
        check_read(call.request, reader.object)
        chosen = select(call.request, reader.object)
        reader.select(chosen.start, chosen.length)
        headers = _headers(call, reader.object, chosen)
        body = reader.inline()
        if body is None and chosen.length <= _AT_ONCE:
            body = b"".join(reader)
        elif body is None and chosen.length <= _WHOLE:
            body = await in_thread(b"".join, reader)
    except BaseException:
        reader.close()
        raise
    status = 206 if chosen.partial else 200
    if body is None:
        return Response(status, headers, _stream(reader))
    reader.close()
    return Response(status, headers, body)


@operation("object", "HEAD")
async def head_object(call: S3Call) -> Response:
    _check_version(call)
    found = call.artifacts.head(call.bucket, call.key)
    check_read(call.request, found)
    chosen = select(call.request, found)
    return Response(206 if chosen.partial else 200, _headers(call, found, chosen))


@operation("object", "PUT")
async def put_object(call: S3Call) -> Response:
    if call.header("x-amz-copy-source"):
        return await copy_object(call)
    said = stated(call.request, call.framing)
    about = properties(call.request)
    condition = write_condition(call.request)

    def begin() -> ObjectWriter:
        return call.artifacts.put(call.bucket, call.key, about, said.size)

    def commit(writer: ObjectWriter, checksums: Mapping[str, str]) -> StoredObject:
        return writer.commit(Checksums("FULL_OBJECT", checksums), condition)

    made = await take(call.request.chunks, said, begin, commit)
    return empty(200, tuple(written(made)))


@operation("object", "DELETE")
async def delete_object(call: S3Call) -> Response:
    _check_version(call)
    await in_thread(call.artifacts.delete, call.bucket, call.key, write_condition(call.request))
    return empty(204)


@operation("object", "GET", "tagging")
async def get_object_tagging(call: S3Call) -> Response:
    found = call.artifacts.head(call.bucket, call.key)
    return xml("Tagging", tag_fields(found.properties.tags))


@operation("object", "PUT", "tagging")
async def put_object_tagging(call: S3Call) -> Response:
    tags = tags_of_document(await call.document("Tagging"))
    await in_thread(call.artifacts.tag, call.bucket, call.key, tags)
    return empty()


@operation("object", "DELETE", "tagging")
async def delete_object_tagging(call: S3Call) -> Response:
    await in_thread(call.artifacts.tag, call.bucket, call.key, {})
    return empty(204)


@operation("object", "GET", "attributes")
async def get_object_attributes(call: S3Call) -> Response:
    found = call.artifacts.head(call.bucket, call.key)
    wanted = {name.strip() for name in call.header("x-amz-object-attributes").split(",")}
    fields: list[Field] = []
    if "ETag" in wanted:
        fields.append(("ETag", found.etag))
    if "Checksum" in wanted and found.checksums.values:
        values = list(checksum_fields(found.checksums.values))
        fields.append(("Checksum", [*values, ("ChecksumType", found.checksums.type)]))
    if "ObjectParts" in wanted and found.parts:
        fields.append(("ObjectParts", _part_fields(call, found)))
    if "StorageClass" in wanted:
        fields.append(("StorageClass", found.properties.headers.get("x-amz-storage-class", "STANDARD")))
    if "ObjectSize" in wanted:
        fields.append(("ObjectSize", found.size))
    modified = [pair for pair in described(found) if pair[0] == "last-modified"]
    return xml("GetObjectAttributesResponse", fields, tuple(modified))


@operation("bucket", "POST", "delete")
async def delete_objects(call: S3Call) -> Response:
    root = await call.document("Delete")
    chosen = root.all("Object")
    if not 0 < len(chosen) <= 1000 or any(not item.get("Key") for item in chosen):
        raise S3Error("MalformedXML")
    refuse_unsupported(call.request)
    keys = [child.text for item in chosen if (child := item.find("Key")) is not None]
    if any(item.get("ETag") for item in chosen):
        raise S3Error("NotImplemented", "Conditions on single objects of DeleteObjects are not supported")
    if any(item.get("VersionId") not in (None, "", "null") for item in chosen):
        raise S3Error("NoSuchVersion")
    await in_thread(call.artifacts.delete_many, call.bucket, keys)
    quiet = root.get("Quiet") == "true"
    fields: list[Field] = [] if quiet else [("Deleted", [("Key", key)]) for key in keys]
    return xml("DeleteResult", fields)


async def _stream(reader: ObjectReader) -> AsyncIterator[bytes]:
    """The reader's bytes, read by threads, one piece ahead of what is sent; closes the reader."""
    reader.piece = _PIECE
    pieces = iter(reader)
    ahead = asyncio.ensure_future(in_thread(next, pieces, b""))
    try:
        while piece := await ahead:
            ahead = asyncio.ensure_future(in_thread(next, pieces, b""))
            yield piece
    finally:
        await asyncio.wait((ahead,))
        reader.close()


def _headers(call: S3Call, found: StoredObject, chosen: Selection) -> list[tuple[str, str]]:
    ask = call.header("x-amz-checksum-mode").upper() == "ENABLED"
    whole = not chosen.partial or bool(call.query.get("partNumber"))
    headers = dict(described(found, checksums=ask and whole and not call.query.get("partNumber")))
    for name, header in _OVERRIDES.items():
        if value := call.query.get(name):
            headers[header] = value
    if chosen.partial:
        headers["content-range"] = chosen.content_range(found.size)
    if call.query.get("partNumber") and found.parts:
        headers["x-amz-mp-parts-count"] = str(len(found.parts))
    headers["content-length"] = str(chosen.length)
    return list(headers.items())


def _part_fields(call: S3Call, found: StoredObject) -> list[Field]:
    most = _header_number(call, "x-amz-max-parts", 1000)
    marker = _header_number(call, "x-amz-part-number-marker", 0)
    rest = [part for part in found.parts if part.number > marker]
    shown = rest[:most]
    parts: list[Field] = [
        ("Part", [("PartNumber", part.number), ("Size", part.size), *checksum_fields(part.checksums)])
        for part in shown
        if found.checksums.values
    ]
    return [
        ("PartsCount", len(found.parts)),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1].number if shown else 0),
        ("MaxParts", most),
        ("IsTruncated", len(rest) > most),
        *parts,
    ]


def _header_number(call: S3Call, name: str, default: int) -> int:
    text = call.header(name)
    return min(int(text), 10_000) if text.isascii() and text.isdigit() and len(text) < 6 else default


def _check_version(call: S3Call) -> None:
    if call.query.get("versionId", "null") != "null":
        raise S3Error("NoSuchVersion", Key=call.key)
