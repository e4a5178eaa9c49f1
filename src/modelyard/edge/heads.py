"""A request's head as the front read it, what of it is not acceptable, and the heads that the front writes.

Follows RFC 9110 and 9112. Owns no I/O. What httptools lets through and we do not: other codings than chunked,
targets that are no path, a missing or second Host.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from modelyard.core.deployments.ports import InvocationHead, Refusal, WireAnswer
from modelyard.edge import sigv4
from modelyard.edge.claims import SignatureRefused

_HOP = frozenset({b"connection", b"http2-settings", b"keep-alive", b"proxy-connection"})
_DROPPED = _HOP | {b"upgrade"}
_OWN = b"x-modelyard-front-"
_SIGNING = tuple((name.encode(), name) for name in ("authorization", "x-amz-date", "date"))
"""The headers that a signature's statement is read from."""


class Head:
    """One request's line and headers. ``named`` has names in lower case, repeated ones joined by commas."""

    def __init__(
        self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], version: str, scheme: str = "http"
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.scheme = scheme
        self.modern = version == "1.1"
        named: dict[bytes, bytes] = {}
        repeated: list[bytes] = []
        for name, value in headers:
            lower = name.lower()
            if lower in named:
                repeated.append(lower)
                value = named[lower] + b"," + value  # noqa: PLW2901
            named[lower] = value
        self.named = named
        self._has_two_hosts = b"host" in repeated
        self.view = HeadView(method, target, named)
        connection = named.get(b"connection")
        tokens = connection.lower().replace(b" ", b"").split(b",") if connection is not None else ()
        self.keep_alive = b"close" not in tokens if self.modern else b"keep-alive" in tokens
        self.is_chunked = b"transfer-encoding" in named
        self.length = int(named.get(b"content-length", b"0") or b"0")
        websocket = b"upgrade" in tokens and named.get(b"upgrade", b"").lower() == b"websocket"
        self.is_upgrade = websocket and method == "GET" and not self.has_body

    @property
    def has_body(self) -> bool:
        return self.is_chunked or self.length > 0

    @property
    def size(self) -> int:
        """Bytes that it took on the wire, to a few."""
        return len(self.target) + 16 + sum([len(name) + len(value) + 4 for name, value in self.headers])

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def is_anonymous(self) -> bool:
        """Whether it states no signature that can be read: only one that does is left to whoever verifies it."""
        given = {text: self.named[name].decode("latin-1") for name, text in _SIGNING if name in self.named}
        query = self.target.partition(b"?")[2].decode("latin-1")
        try:
            return not sigv4.is_stated(query, given)
        except SignatureRefused:
            return True

    def wrong(self, version: str) -> Refusal | None:
        """Why it cannot be answered as HTTP; None when it can."""
        if version not in ("1.0", "1.1"):
            return Refusal("bad_request", f"HTTP/{version} is not spoken here; use HTTP/1.1")
        if self.is_chunked and not (self.modern and self.named[b"transfer-encoding"].lower() == b"chunked"):
            return Refusal("bad_request", "the only transfer coding known here is chunked, of HTTP/1.1")
        if self._has_two_hosts or (self.modern and b"host" not in self.named):
            return Refusal("bad_request", "a request needs one Host header")
        if not self.target.startswith(b"/") and not (self.method == "OPTIONS" and self.target == b"*"):
            return self._take_absolute()
        return None

    def _take_absolute(self) -> Refusal | None:
        """``http://host/path`` is the path when the host is that of the Host header."""
        scheme, found, rest = self.target.partition(b"://")
        authority, slash, path = rest.partition(b"/")
        if not found or scheme.lower() not in (b"http", b"https") or authority != self.named.get(b"host"):
            return Refusal("bad_request", "the request's target must be a path")
        self.target = slash + path or b"/"
        self.view = HeadView(self.method, self.target, self.named)
        return None

    def rebuilt(self, peer: str, from_job: bool) -> bytes:
        """The head for the server: as it came, but for hop-by-hop fields and our own."""
        named = self.named
        own = _own_fields(peer, self.scheme, from_job)
        top = b"%b %b HTTP/1.1\r\n" % (self.method.encode(), self.target)
        if _DROPPED.isdisjoint(named) and b"host" in named and _OWN not in b" ".join(named):
            return top + b"".join([b"%b: %b\r\n" % field for field in self.headers]) + own
        parts = [top]
        for name, value in self.headers:
            lower = name.lower()
            if lower in _HOP or lower.startswith(_OWN) or (lower == b"upgrade" and not self.is_upgrade):
                continue
            parts += (name, b": ", value, b"\r\n")
        if b"host" not in named:
            parts.append(b"host: localhost\r\n")
        if self.is_upgrade:
            parts.append(b"connection: upgrade\r\n")
        return b"".join((*parts, own))


@lru_cache(maxsize=1024)
def _own_fields(peer: str, scheme: str, from_job: bool) -> bytes:
    mark = "x-modelyard-front-job: 1\r\n" if from_job else ""
    return f"x-modelyard-front-peer: {peer}\r\nx-modelyard-front-scheme: {scheme}\r\n{mark}\r\n".encode()


class HeadView(InvocationHead):
    """A head as codecs see it; its headers become text when first asked for, once."""

    __slots__ = ("_named", "_text")

    _named: dict[bytes, bytes]
    _text: dict[str, str] | None

    def __init__(self, method: str, target: bytes, named: dict[bytes, bytes]) -> None:
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "target", target.decode("latin-1"))
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_text", None)

    @property
    def headers(self) -> dict[str, str]:
        text = self._text
        if text is None:
            text = {name.decode("latin-1"): value.decode("latin-1").strip(" \t") for name, value in self._named.items()}
            object.__setattr__(self, "_text", text)
        return text


def answer_bytes(answer: WireAnswer, head: Head | None, close: bool) -> bytes:
    """An answer of the front's own as it goes over the wire."""
    bodiless = answer.status in (204, 304)
    top = _top(answer.status, answer.headers, -1 if bodiless else len(answer.body))
    if close:
        top += b"connection: close\r\n\r\n"
    elif head is not None and not head.modern:
        top += b"connection: keep-alive\r\n\r\n"
    else:
        top += b"\r\n"
    return top if bodiless or (head is not None and head.method == "HEAD") else top + answer.body


@lru_cache(maxsize=256)
def _top(status: int, headers: tuple[tuple[str, str], ...], length: int) -> bytes:
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    lines += [f"{name}: {_clean(value)}" for name, value in headers]
    if length >= 0:
        lines.append(f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1", "replace")


def _clean(value: str) -> str:
    """A header's value that cannot end its line: workers choose some of them."""
    return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
