"""Which bytes of an object a reader gets: conditions and ranges.

Follows RFC 9110, sections 13 and 14, with S3's own codes (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelyard.core.artifacts.model import StoredObject
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.translate import http_time, quoted, unquoted
from modelyard.edge.http import Request

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})\Z")


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of an object, in bytes; ``partial`` when a range was asked for."""

    start: int
    length: int
    partial: bool

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def check_read(request: Request, found: StoredObject) -> None:
    """Raises S3Error: NotModified or PreconditionFailed when the request's conditions say so."""
    match, none_match = request.header("if-match"), request.header("if-none-match")
    modified = int(found.modified)
    if match:
        if not _matches(match, found.etag):
            raise S3Error("PreconditionFailed", Condition="If-Match")
    elif (since := http_time(request.header("if-unmodified-since"))) is not None and modified > since:
        raise S3Error("PreconditionFailed", Condition="If-Unmodified-Since")
    if none_match:
        if _matches(none_match, found.etag):
            raise _not_modified(found)
    elif (since := http_time(request.header("if-modified-since"))) is not None and modified <= since:
        raise _not_modified(found)


def check_copy(request: Request, found: StoredObject) -> None:
    """Raises S3Error PreconditionFailed when the conditions on a copy's source do not hold."""
    prefix = "x-amz-copy-source-if-"
    match, none_match = request.header(prefix + "match"), request.header(prefix + "none-match")
    modified = int(found.modified)
    failed = ""
    if match:
        failed = "" if _matches(match, found.etag) else "match"
    elif (since := http_time(request.header(prefix + "unmodified-since"))) is not None and modified > since:
        failed = "unmodified-since"
    if none_match:
        failed = "none-match" if _matches(none_match, found.etag) else failed
    elif (since := http_time(request.header(prefix + "modified-since"))) is not None and modified <= since:
        failed = "modified-since"
    if failed:
        raise S3Error("PreconditionFailed", Condition=prefix + failed)


def select(request: Request, found: StoredObject) -> Selection:
    """The bytes that were asked for. Raises S3Error InvalidRange. More than one range is answered by the whole."""
    whole = Selection(0, found.size, False)
    part = request.query.get("partNumber")
    text = request.header("range")
    if part:
        if text:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        return _select_part(part, found)
    if not text or not _still_current(request.header("if-range"), found):
        return whole
    match = _RANGE.match(text.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return whole
    first, last = match.groups()
    if not first:
        start, end = max(found.size - int(last), 0), found.size
    else:
        start, end = int(first), min(int(last) + 1, found.size) if last else found.size
        if last and int(last) < start:
            return whole
    if start >= end:
        raise S3Error(
            "InvalidRange",
            headers=(("content-range", f"bytes */{found.size}"),),
            RangeRequested=text,
            ActualObjectSize=found.size,
        )
    return Selection(start, end - start, True)


def source_range(text: str, found: StoredObject) -> Selection:
    """The bytes that a part copies. Raises S3Error."""
    if not text:
        return Selection(0, found.size, False)
    match = _RANGE.match(text)
    if match is None or not all(match.groups()) or int(match[1]) > int(match[2]):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=text,
        )
    start, end = int(match[1]), int(match[2]) + 1
    if end > found.size:
        raise S3Error("InvalidRange", status=400)
    return Selection(start, end - start, True)


def _select_part(text: str, found: StoredObject) -> Selection:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if number == 1 and not found.parts:
        return Selection(0, found.size, found.size > 0)
    start = 0
    for part in found.parts:
        if part.number == number:
            return Selection(start, part.size, True)
        start += part.size
    raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable", status=416)


def _matches(header: str, etag: str) -> bool:
    stated = [unquoted(part) for part in header.split(",")]
    return "*" in stated or etag in stated


def _still_current(header: str, found: StoredObject) -> bool:
    if not header:
        return True
    if '"' in header:
        return header.strip() == quoted(found.etag)
    since = http_time(header)
    return since is not None and int(found.modified) <= since


def _not_modified(found: StoredObject) -> S3Error:
    return S3Error("NotModified", headers=(("etag", quoted(found.etag)),))
