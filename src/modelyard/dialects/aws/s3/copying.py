"""Copies over S3: whole objects and parts, without moving bytes.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html and API_UploadPartCopy.html.
"""

from __future__ import annotations

import hashlib

from modelyard.core.artifacts.model import Checksums, Part, Properties, StoredObject, Upload
from modelyard.core.artifacts.reading import ObjectReader
from modelyard.dialects.aws.s3.call import S3Call, xml
from modelyard.dialects.aws.s3.checksums import ALGORITHMS, encode, new_hasher
from modelyard.dialects.aws.s3.conditions import check_copy, source_range
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.threads import in_thread
from modelyard.dialects.aws.s3.translate import (
    CONTENT_HEADERS,
    ECHOED_HEADERS,
    checksum_fields,
    copy_source,
    properties,
    quoted,
    refuse_unsupported,
    tags_of_header,
    write_condition,
)
from modelyard.dialects.aws.s3.xml import timestamp
from modelyard.edge.http import Response

_LARGEST = 5 << 30


async def copy_object(call: S3Call) -> Response:
    """PutObject with a copy source."""
    refuse_unsupported(call.request)
    made = await in_thread(_copy, call)
    fields = [("ETag", quoted(made.etag)), ("LastModified", timestamp(made.modified))]
    about = [*checksum_fields(made.checksums.values)]
    if about:
        about.append(("ChecksumType", made.checksums.type))
    return xml("CopyObjectResult", [*fields, *about])


def _copy(call: S3Call) -> StoredObject:
    bucket, key = copy_source(call.header("x-amz-copy-source"))
    algorithm = _algorithm(call)
    with call.artifacts.open(bucket, key) as reader:
        source = reader.object
        check_copy(call.request, source)
        if source.size > _LARGEST:
            raise S3Error(
                "InvalidRequest",
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
            )
        checksums = None
        if algorithm and algorithm not in source.checksums.values:
            checksums = Checksums("FULL_OBJECT", {algorithm: _hash(reader, algorithm)[1]})
        about = _properties(call, source)
        if (bucket, key) == (call.bucket, call.key) and about is None and checksums is None:
            raise S3Error(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes.",
            )
        condition = write_condition(call.request)
        return call.artifacts.copy(source, call.bucket, call.key, about, checksums, condition)


def _properties(call: S3Call, source: StoredObject) -> Properties | None:
    """The copy's properties; None when they are the source's."""
    replaced = _directive(call, "x-amz-metadata-directive") == "REPLACE"
    retagged = _directive(call, "x-amz-tagging-directive") == "REPLACE"
    stated = properties(call.request)
    echoed = {name: value for name, value in stated.headers.items() if name in ECHOED_HEADERS}
    if not (replaced or retagged or echoed):
        return None
    before = source.properties
    kept = {name: value for name, value in before.headers.items() if name in CONTENT_HEADERS}
    return Properties(
        stated.headers if replaced else {**kept, **echoed},
        stated.metadata if replaced else before.metadata,
        tags_of_header(call.header("x-amz-tagging")) if retagged else before.tags,
    )


def _directive(call: S3Call, name: str) -> str:
    value = call.header(name) or "COPY"
    if value not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", f"Unknown {name}", ArgumentName=name, ArgumentValue=value)
    return value


def _algorithm(call: S3Call) -> str:
    algorithm = call.header("x-amz-checksum-algorithm").upper()
    if algorithm and algorithm not in ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    return algorithm


async def copy_part(call: S3Call, upload: Upload, number: int) -> Response:
    """UploadPart with a copy source."""
    part = await in_thread(_copy_part, call, upload, number)
    fields = [("ETag", quoted(part.etag)), ("LastModified", timestamp(part.modified))]
    return xml("CopyPartResult", [*fields, *checksum_fields(part.checksums)])


def _copy_part(call: S3Call, upload: Upload, number: int) -> Part:
    bucket, key = copy_source(call.header("x-amz-copy-source"))
    with call.artifacts.open(bucket, key) as reader:
        check_copy(call.request, reader.object)
        chosen = source_range(call.header("x-amz-copy-source-range"), reader.object)
        if chosen.length > _LARGEST:
            raise S3Error("EntityTooLarge", MaxSizeAllowed=_LARGEST)
        reader.select(chosen.start, chosen.length)
        etag, checksum = _hash(reader, upload.algorithm)
        checksums = {upload.algorithm: checksum} if upload.algorithm else {}
        copied = call.artifacts.uploads.copy_part(upload, number, reader, etag, checksums)
        if copied is not None:
            return copied
        with call.artifacts.uploads.put_part(upload, number, chosen.length) as writer:
            for piece in reader:
                writer.write(piece)
            return writer.commit(Checksums("FULL_OBJECT", checksums))


def _hash(reader: ObjectReader, algorithm: str | None) -> tuple[str, str]:
    """The MD5 in hex, and the checksum if one is wanted, of the bytes that are selected."""
    md5 = hashlib.md5(usedforsecurity=False)
    hasher = new_hasher(algorithm) if algorithm else None
    for piece in reader:
        md5.update(piece)
        if hasher is not None:
            hasher.update(piece)
    return md5.hexdigest(), encode(hasher.digest()) if hasher is not None else ""
