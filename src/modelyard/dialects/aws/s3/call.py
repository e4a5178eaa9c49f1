"""One S3 request as its operation sees it, and the registry of operations.

Owns how a request names its operation: by what it addresses (service, bucket, object), its method and the sub-resource
in its query (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from modelyard.core.artifacts.service import ArtifactService
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.payload import Framing, stated, take_bytes
from modelyard.dialects.aws.s3.xml import BadXml, Element, Field, document, read
from modelyard.edge.http import Request, Response

Level = Literal["service", "bucket", "object"]
Headers = tuple[tuple[str, str], ...]

DOCUMENT_LIMIT = 5 << 20
"""Bytes of an XML body: 10,000 parts with their checksums fit."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns everything here: the settings' account."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class S3Call:
    """A request whose signature has been checked. ``region`` is the one that it was signed for."""

    request: Request
    artifacts: ArtifactService
    owner: Owner
    region: str
    bucket: str
    key: str
    framing: Framing

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    def header(self, name: str) -> str:
        return self.request.header(name)

    async def body(self, checksums: bool = True) -> bytes:
        """A small body, verified; ``checksums`` says whether those in the headers are the body's."""
        said = stated(self.request, self.framing)
        if not checksums:
            said.checksums.clear()
        return await take_bytes(self.request, said, DOCUMENT_LIMIT)

    async def document(self, root: str, checksums: bool = True) -> Element:
        """An XML body whose root element has that name. Raises S3Error."""
        try:
            element = read(await self.body(checksums))
        except BadXml:
            raise S3Error("MalformedXML") from None
        if element.name != root:
            raise S3Error("MalformedXML")
        return element

    def number(self, name: str, default: int, most: int, least: int = 0) -> int:
        """A whole number of the query, at most ``most``. Raises S3Error."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) < least:
            raise S3Error(
                "InvalidArgument",
                f"Provided {name} not an integer or within integer range",
                ArgumentName=name,
                ArgumentValue=text,
            )
        return min(int(text), most)


Operation = Callable[[S3Call], Awaitable[Response]]

_OPERATIONS: dict[tuple[Level, str, str], Operation] = {}
_SUBRESOURCES: list[str] = []


def operation(level: Level, method: str, subresource: str = "") -> Callable[[Operation], Operation]:
    """Register the operation for what it answers; those of the more telling sub-resource are declared first."""

    def register(function: Operation) -> Operation:
        _OPERATIONS[level, method, subresource] = function
        if subresource and subresource not in _SUBRESOURCES:
            _SUBRESOURCES.append(subresource)
        return function

    return register


_UNSUPPORTED = frozenset((
    "torrent", "select", "restore", "legal-hold", "retention", "metadataTable", "metadataConfiguration", "session",
    "renameObject", "append", "annotation", "annotations", "abac",
))  # fmt: skip


def find_operation(level: Level, method: str, query: Iterable[str]) -> Operation:
    """The operation that a request asks for. Raises S3Error when S3 or we have none."""
    names = frozenset(query)
    subresource = next((name for name in _SUBRESOURCES if name in names), "") if names else ""
    found = _OPERATIONS.get((level, method, subresource))
    if not _UNSUPPORTED.isdisjoint(names) or (found is None and subresource):
        raise S3Error("NotImplemented")
    if found is None:
        raise S3Error("MethodNotAllowed", Method=method)
    return found


def empty(status: int = 200, headers: Headers = ()) -> Response:
    """A response without a body."""
    return Response(status, headers)


def xml(name: str, fields: Iterable[Field], headers: Headers = ()) -> Response:
    """A response that is a document."""
    return Response(200, (("content-type", "application/xml"), *headers), document(name, fields))
