"""Uploads by HTML form: POST on a bucket with a signed policy.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html; the policy is judged by edge/postpolicy.py.
Owns a streaming reader of multipart/form-data that holds no more than its fields.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode

from modelyard.core.artifacts.model import Checksums, Properties, StoredObject
from modelyard.core.artifacts.service import ArtifactService
from modelyard.core.artifacts.writing import ObjectWriter
from modelyard.dialects.aws.s3.checksums import HEADERS, is_valid
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.payload import Framing, Stated, take
from modelyard.dialects.aws.s3.translate import CONTENT_HEADERS, ECHOED_HEADERS, metadata, quoted, tags_of_document
from modelyard.dialects.aws.s3.xml import BadXml, document, read
from modelyard.edge.claims import Lookup
from modelyard.edge.http import Request, Response
from modelyard.edge.postpolicy import SignedForm, check_conditions, verify_form

_FIELDS_LIMIT = 20 << 10
_HEAD_LIMIT = 8 << 10
# Possessive, and read once from left to right: the standard library's reader takes seconds for hostile headers.
_PARAMETER = re.compile(
    r';[ \t]*+(?P<name>[^\s;="]++)[ \t]*+=[ \t]*+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"?|(?P<token>[^;"]*+))'
)
_ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class _Disposition:
    name: str
    filename: str
    content_type: str


class FormBody:
    """A multipart/form-data body up to and including its file."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        self._chunks = chunks
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        self._held = bytearray(b"\r\n")
        self.filename = ""
        self.file_type = ""

    async def fields(self) -> dict[str, str]:
        """The fields before the file, by name in lower case. Raises S3Error."""
        found: dict[str, str] = {}
        size = 0
        await self._until(self._delimiter, _HEAD_LIMIT)
        while True:
            part = _disposition(await self._until(b"\r\n\r\n", _HEAD_LIMIT))
            if part.name == "file":
                self.filename, self.file_type = part.filename, part.content_type
                return found
            value = await self._until(self._delimiter, _FIELDS_LIMIT)
            size += len(part.name) + len(value)
            if size > _FIELDS_LIMIT:
                raise S3Error(
                    "MaxPostPreDataLengthExceeded", "Your POST request fields preceding the file are too big."
                )
            found.setdefault(part.name, value.decode("utf-8", "replace"))
            if self._held.startswith(b"--"):
                raise S3Error("InvalidArgument", "POST requires exactly one file upload per request.")

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes; what comes behind it is ignored. Raises S3Error when the body ends inside it."""
        keep = len(self._delimiter) - 1
        while True:
            end = self._held.find(self._delimiter)
            ready = bytes(self._held[:end] if end >= 0 else self._held[: max(len(self._held) - keep, 0)])
            del self._held[: len(ready)]
            if ready:
                yield ready
            if end >= 0:
                break
            await self._more()
        async for _ in self._chunks:
            pass

    async def _until(self, mark: bytes, limit: int) -> bytes:
        """What comes before the mark, which is taken too."""
        while (end := self._held.find(mark)) < 0:
            if len(self._held) > limit + len(mark):
                raise S3Error(
                    "MaxPostPreDataLengthExceeded", "Your POST request fields preceding the file are too big."
                )
            await self._more()
        before = bytes(self._held[:end])
        del self._held[: end + len(mark)]
        return before

    async def _more(self) -> None:
        async for chunk in self._chunks:
            self._held += chunk
            return
        raise S3Error("MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")


def is_form(request: Request) -> bool:
    return request.method == "POST" and request.header("content-type").lower().startswith("multipart/form-data")


async def post_object(
    request: Request, artifacts: ArtifactService, bucket: str, lookup: Lookup, now: float
) -> Response:
    """PostObject. Raises S3Error, SignatureRefused."""
    boundary = _parameter(request.header("content-type"), "boundary")
    if not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise S3Error("MalformedPOSTRequest", "The Content-Type states no boundary.")
    body = FormBody(request.chunks, boundary)
    fields = await body.fields()
    if "key" not in fields:
        raise S3Error("InvalidArgument", "Bucket POST must contain a field named 'key'.", ArgumentName="key")
    form = verify_form(fields, lookup, now)
    if form is None:
        raise S3Error("AccessDenied")
    fields["key"] = fields["key"].replace("${filename}", body.filename)
    check_conditions_but_size(form, fields, bucket)
    made = await _store(artifacts, bucket, body, fields, form)
    return _answer(request, fields, made)


def check_conditions_but_size(form: SignedForm, fields: Mapping[str, str], bucket: str) -> None:
    """Judge the policy before a byte of the file is taken; its length is judged when it is known."""
    without = tuple(each for each in form.conditions if not _is_range(each))
    check_conditions(SignedForm(form.credential, without), fields, bucket, 0)


async def _store(
    artifacts: ArtifactService, bucket: str, body: FormBody, fields: Mapping[str, str], form: SignedForm
) -> StoredObject:
    said = Stated(Framing(), None)
    for header, name in HEADERS.items():
        if value := fields.get(header):
            if not is_valid(name, value):
                raise S3Error("InvalidRequest", f"Value for {header} field is invalid.")
            said.checksums[name] = value
    about = _properties(fields)

    def begin() -> ObjectWriter:
        return artifacts.put(bucket, fields["key"], about)

    def commit(writer: ObjectWriter, checksums: Mapping[str, str]) -> StoredObject:
        least = max((each[1] for each in form.conditions if _is_range(each)), default=0)
        if writer.size < least:
            raise S3Error("EntityTooSmall", ProposedSize=writer.size, MinSizeAllowed=least)
        return writer.commit(Checksums("FULL_OBJECT", checksums))

    return await take(_limited(body.file(), form.longest), said, begin, commit)


async def _limited(chunks: AsyncIterator[bytes], longest: int | None) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if longest is not None and size > longest:
            raise S3Error("EntityTooLarge", ProposedSize=size, MaxSizeAllowed=longest)
        yield chunk


def _answer(request: Request, fields: Mapping[str, str], made: StoredObject) -> Response:
    location = f"{request.scheme}://{request.header('host')}/{made.bucket}/{quote(made.key)}"
    headers = [("etag", quoted(made.etag)), ("location", location)]
    redirect = fields.get("success_action_redirect", "")
    if redirect.startswith(("http://", "https://")) and redirect.isprintable() and redirect.isascii():
        about = urlencode({"bucket": made.bucket, "key": made.key, "etag": quoted(made.etag)})
        return Response(303, [headers[0], ("location", f"{redirect}{'&' if '?' in redirect else '?'}{about}")])
    status = fields.get("success_action_status", "")
    if status != "201":
        return Response(200 if status == "200" else 204, headers)
    content = document(
        "PostResponse",
        [("Location", location), ("Bucket", made.bucket), ("Key", made.key), ("ETag", quoted(made.etag))],
        namespace=False,
    )
    return Response(201, [*headers, ("content-type", "application/xml")], content)


def _properties(fields: Mapping[str, str]) -> Properties:
    headers = {name: fields[name] for name in (*CONTENT_HEADERS, *ECHOED_HEADERS) if fields.get(name)}
    tags: dict[str, str] = {}
    if text := fields.get("tagging"):
        try:
            tags = tags_of_document(read(text.encode()))
        except BadXml:
            raise S3Error("MalformedXML") from None
    return Properties(headers, metadata(tuple(fields.items())), tags)


def _is_range(condition: object) -> bool:
    return isinstance(condition, list) and condition[0] == "content-length-range"


def _disposition(head: bytes) -> _Disposition:
    name = filename = content_type = ""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        header, _, value = line.partition(":")
        match header.strip().lower():
            case "content-disposition":
                name, filename = _parameter(value, "name"), _parameter(value, "filename")
            case "content-type":
                content_type = value.strip()
    return _Disposition(name.lower(), filename.replace("\\", "/").rpartition("/")[2], content_type)


def _parameter(header: str, name: str) -> str:
    """A parameter of a header such as Content-Disposition; empty when it is not there."""
    for found in _PARAMETER.finditer(header):
        if found["name"].lower() == name:
            quoted_text, token = found["quoted"], found["token"]
            return token.strip() if quoted_text is None else _ESCAPED.sub(r"\1", quoted_text)
        if found["name"].lower() == f"{name}*":
            return unquote((found["token"] or "").strip().rpartition("'")[2])
    return ""
