"""Between S3's headers and the core's values.

Owns which headers are kept with an object and come back with it, and the forms of tags, times and ETags
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from modelyard.core.artifacts.model import Checksums, Condition, Properties, StoredObject
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.xml import Element, Field
from modelyard.edge.http import Request

CONTENT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
ECHOED_HEADERS = (
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
)
"""Kept and given back; nothing is done about them."""

_KEPT = (*CONTENT_HEADERS, *ECHOED_HEADERS)
DEFAULT_TYPE = "binary/octet-stream"
_META = "x-amz-meta-"
_METADATA_LIMIT = 2048
_CUSTOMER_KEY = "server-side-encryption-customer"
_LOCKS = ("x-amz-object-lock-mode", "x-amz-object-lock-legal-hold", "x-amz-write-offset-bytes")


def properties(request: Request) -> Properties:
    """What the request says about the object that it writes. Raises S3Error."""
    refuse_unsupported(request)
    given = request.by_name
    headers = {name: given[name] for name in _KEPT if given.get(name)}
    if "content-encoding" in headers:
        encoding = [part.strip() for part in headers.pop("content-encoding").split(",")]
        if kept := ",".join(part for part in encoding if part and part.lower() != "aws-chunked"):
            headers["content-encoding"] = kept
    return Properties(headers, metadata(request.headers), tags_of_header(request.header("x-amz-tagging")))


def metadata(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """User metadata by name, as sent. Raises S3Error."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(_META):
            name = name[len(_META) :]  # noqa: PLW2901
            found[name] = f"{found[name]},{value}" if name in found else value
    if sum(len(name) + len(value) for name, value in found.items()) > _METADATA_LIMIT:
        raise S3Error("MetadataTooLarge", MaxSizeAllowed=_METADATA_LIMIT)
    return found


def refuse_unsupported(request: Request) -> None:
    """Raises S3Error for a header that asks for what silence would betray: own keys, locks, appending."""
    for name, _ in request.headers:
        if name.startswith("x-amz-") and (_CUSTOMER_KEY in name or name in _LOCKS):
            raise S3Error("NotImplemented", f"The header {name} is not supported", Header=name)


def described(found: StoredObject, checksums: bool = False) -> Iterator[tuple[str, str]]:
    """The headers that describe an object, its length left out."""
    headers = found.properties.headers
    yield "etag", quoted(found.etag)
    yield "last-modified", _http_date(int(found.modified))
    yield "accept-ranges", "bytes"
    yield "content-type", headers.get("content-type", DEFAULT_TYPE)
    for name, value in headers.items():
        if name != "content-type":
            yield name, value
    for name, value in found.properties.metadata.items():
        yield f"{_META}{name}", value
    if found.properties.tags:
        yield "x-amz-tagging-count", str(len(found.properties.tags))
    if checksums:
        yield from checksum_headers(found.checksums)


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def checksum_headers(checksums: Checksums) -> Iterator[tuple[str, str]]:
    """A checksum for each that is known, and how it was joined."""
    for name, value in checksums.values.items():
        yield f"x-amz-checksum-{name.lower()}", value
    if checksums.values:
        yield "x-amz-checksum-type", checksums.type


def checksum_fields(checksums: Mapping[str, str]) -> Iterator[Field]:
    for name, value in checksums.items():
        yield f"Checksum{name}", value


def written(made: StoredObject) -> Iterator[tuple[str, str]]:
    """The headers of an answer to a write."""
    yield "etag", quoted(made.etag)
    yield from checksum_headers(made.checksums)
    for name, value in made.properties.headers.items():
        if name.startswith("x-amz-server-side-encryption"):
            yield name, value


def quoted(etag: str) -> str:
    return f'"{etag}"'


def unquoted(etag: str) -> str:
    """An ETag as the core has it; a weak mark is left off."""
    return etag.strip().removeprefix("W/").strip('"')


def write_condition(request: Request) -> Condition:
    """The condition of a write. Raises S3Error."""
    match, none_match = request.header("if-match"), request.header("if-none-match")
    if none_match and none_match.strip() != "*":
        raise S3Error("NotImplemented", "If-None-Match of a write may only be *", Header="If-None-Match")
    if match and none_match:
        raise S3Error("InvalidRequest", "If-Match and If-None-Match cannot be used together")
    return Condition(unquoted(match) if match else None, bool(none_match))


def http_time(text: str) -> float | None:
    """Seconds since the epoch of a date header; None for one that is none, which is then ignored."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError):
        return None


def copy_source(text: str) -> tuple[str, str]:
    """Bucket and key that a copy reads from. Raises S3Error."""
    path, _, query = text.partition("?")
    bucket, _, key = unquote(path, errors="strict").removeprefix("/").partition("/")
    if not bucket or not key:
        raise S3Error(
            "InvalidArgument",
            "Invalid copy source object key",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=text,
        )
    if query and query != "versionId=null":
        raise S3Error("NoSuchVersion")
    return bucket, key


def tags_of_header(text: str) -> dict[str, str]:
    """Tags in the form of a query. Raises S3Error."""
    return _checked(parse_qsl(text, keep_blank_values=True))


def tags_of_document(root: Element, most: int = 10) -> dict[str, str]:
    """Tags in a Tagging document. Raises S3Error."""
    tag_set = root.find("TagSet")
    if tag_set is None:
        raise S3Error("MalformedXML")
    pairs = []
    for tag in tag_set.all("Tag"):
        key, value = tag.find("Key"), tag.find("Value")
        if key is None or value is None:
            raise S3Error("MalformedXML")
        pairs.append((key.text, value.text))
    return _checked(pairs, most)


def tag_fields(tags: Mapping[str, str]) -> list[Field]:
    return [("TagSet", [("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items()])]


def _checked(pairs: list[tuple[str, str]], most: int = 10) -> dict[str, str]:
    if len(pairs) > most:
        raise S3Error("InvalidTag", f"Object tags cannot be greater than {most}")
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not 0 < len(key) <= 128:
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", TagKey=key)
        if len(value) > 256:
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", TagKey=key)
        if key in tags:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=key)
        tags[key] = value
    return tags
