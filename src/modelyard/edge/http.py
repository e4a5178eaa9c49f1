"""A request and a response as every dialect of our own sees them, framework-free.

Owns the two values and their bridge from ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html). The
target stays as it came on the wire: signatures cover its bytes. Refuses to know dialects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


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
    raw_path: str = field(init=False)
    raw_query: str = field(init=False)
    by_name: dict[str, str] = field(init=False)
    """The headers as ``header`` answers them."""
    _query: dict[str, str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.raw_path, _, self.raw_query = self.target.partition("?")
        found: dict[str, str] = {}
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
            self._query = dict(reversed(parse_qsl(self.raw_query, keep_blank_values=True)))
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


Handler = Callable[[Request], Awaitable[Response]]


def request_from(scope: Scope, receive: Receive) -> Request:
    """The request of an ASGI ``http`` scope as our front relays it: its own headers say who the peer is."""
    raw_path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    target = raw_path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    own: dict[str, str] = {}
    headers = []
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        if name.startswith("x-modelyard-front-"):
            own[name[18:]] = value
        else:
            headers.append((name, value))
    return Request(
        method=scope["method"],
        target=target,
        headers=tuple(headers),
        chunks=_chunks(receive),
        peer=own.get("peer", ""),
        scheme=own.get("scheme", "http"),
        from_job=own.get("job") == "1",
    )


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


async def send_response(response: Response, send: Send) -> None:
    """Send a response over ASGI, its stream chunk by chunk with the transport's own backpressure."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if isinstance(response.body, bytes):
        if not any(name.lower() == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async for chunk in response.body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
