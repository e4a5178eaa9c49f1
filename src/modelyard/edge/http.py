"""A request and a response as every dialect of our own sees them, framework-free.

Owns the two values. The target stays as it came on the wire: signatures cover its bytes. Refuses to know
dialects, and where requests come from (backend.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


@dataclass(eq=False)
class Request:
    """One HTTP request. ``headers`` keep their order, names in lower case; the body is read once."""

    method: str
    target: str
    """Path and query exactly as sent."""
    headers: tuple[tuple[str, str], ...]
    chunks: AsyncIterator[bytes]
    peer: str = ""
    scheme: str = "http"
    from_job: bool = False
    """Whether the front saw that a job of ours sent it; anonymous access is then refused."""
    whole: bytes | None = None
    """The body, when all of it came with the head; ``chunks`` has it too."""
    raw_path: str = field(init=False)
    raw_query: str = field(init=False)
    by_name: dict[str, str] = field(init=False)
    """The headers as ``header`` answers them."""
    _query: dict[str, str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.raw_path, _, self.raw_query = self.target.partition("?")
        found = dict(self.headers)
        if len(found) < len(self.headers):
            found = {}
            for name, value in self.headers:
                found[name] = f"{found[name]},{value}" if name in found else value
        self.by_name = found

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def query(self) -> dict[str, str]:
        """Decoded query parameters; of a repeated one the first counts."""
        if self._query is None:
            # Of equal keys a dict keeps the last value.
            raw = self.raw_query
            self._query = dict(reversed(parse_qsl(raw, keep_blank_values=True))) if raw else {}
        return self._query

    def header(self, name: str, default: str = "") -> str:
        """The header of that lower-case name; repeated ones joined by commas."""
        return self.by_name.get(name, default)

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge past ``limit`` bytes."""
        declared = self.header("content-length")
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge(limit)
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks:
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(chunk)
        return b"".join(parts)


class BodyTooLarge(Exception):
    """A body is longer than what its route accepts; ``limit`` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request's body is longer than {limit} bytes")
        self.limit = limit


@dataclass(slots=True)
class Response:
    """One HTTP response. A streamed body without Content-Length goes out chunked."""

    status: int = 200
    headers: Iterable[tuple[str, str]] = ()
    body: bytes | AsyncIterator[bytes] = b""
