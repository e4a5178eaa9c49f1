"""A request's body on its way into the store: decoded, hashed, compared with what was stated, written.

Owns what makes a body acceptable: its length, its signed hash or chunks, Content-MD5 and checksums. Large bodies are
hashed and written by threads in 1 MiB pieces while the next piece arrives; small ones in one go. Nothing is committed
before everything fits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from modelyard.dialects.aws.s3.checksums import HEADERS, Hasher, encode, is_valid, new_hasher
from modelyard.dialects.aws.s3.chunked import ChunkedBody, ChunkVerifier
from modelyard.dialects.aws.s3.errors import S3Error
from modelyard.dialects.aws.s3.threads import in_thread
from modelyard.edge.http import Request

PIECE = 1 << 20
_SMALL = 1 << 20

T = TypeVar("T")


class Writer(Protocol):
    """Where the bytes go; ``etag`` is the MD5 in hex of what was written."""

    @property
    def etag(self) -> str: ...

    def write(self, data: bytes | memoryview) -> None: ...

    def abort(self) -> None: ...


W = TypeVar("W", bound=Writer)


@dataclass(frozen=True, slots=True)
class Framing:
    """How the signature covers the body: by its SHA-256, by chunks, or not at all."""

    sha256: str | None = None
    chunked: bool = False
    trailers: bool = False
    verifier: ChunkVerifier | None = None


@dataclass(slots=True)
class Stated:
    """What a request says about its body."""

    framing: Framing
    size: int | None
    """Bytes of the body proper, chunk heads not counted; None when unknown."""
    md5: str | None = None
    """In hex."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Stated in headers, by algorithm."""
    trailing: str | None = None
    """The algorithm whose value comes as a trailer."""
    computed: str | None = None
    """An algorithm to compute although nothing was stated."""
    length: int = 0
    """Bytes on the wire, chunk heads counted, as far as they were stated."""


def stated(request: Request, framing: Framing) -> Stated:
    """Read the headers that are about the body. Raises S3Error for contradictions."""
    given = request.by_name
    checksums = {HEADERS[header]: given[header] for header in HEADERS.keys() & given.keys() if given[header]}
    for name, value in checksums.items():
        if not is_valid(name, value):
            raise S3Error("InvalidRequest", f"Value for x-amz-checksum-{name.lower()} header is invalid.")
    trailer = request.header("x-amz-trailer").strip().lower()
    if trailer and trailer not in HEADERS:
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    trailing = HEADERS[trailer] if trailer else None
    if trailing and not framing.trailers:
        raise S3Error("InvalidRequest", "x-amz-trailer needs a streaming payload with trailers")
    if len(checksums) + bool(trailing) > 1:
        raise S3Error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    announced = request.header("x-amz-sdk-checksum-algorithm").upper()
    if announced and not checksums and not trailing:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found.",
        )
    length = _number(request.header("content-length")) or 0
    return Stated(framing, _size(request, framing), _md5(request), checksums, trailing, length=length)


async def take(
    chunks: AsyncIterator[bytes],
    said: Stated,
    begin: Callable[[], W],
    commit: Callable[[W, Mapping[str, str]], T],
) -> T:
    """Read a body into the writer that ``begin`` makes and, when all fits, ``commit`` it with its checksums.

    Both are called in threads. Raises S3Error; nothing that was written stays then.
    """
    if said.size is not None and said.size <= _SMALL:
        return await in_thread(_take_whole, await _gather(chunks, said), said, begin, commit)
    sink = await in_thread(lambda: _Sink(begin(), said))
    try:
        await _stream(chunks, sink)
        return await in_thread(sink.commit, commit)
    except BaseException:
        # In a thread of its own, also when this task is being cancelled.
        await asyncio.shield(in_thread(sink.abort))
        raise


async def take_bytes(request: Request, said: Stated, limit: int) -> bytes:
    """The whole body of at most ``limit`` bytes, verified. Raises S3Error."""
    if said.size is not None and said.size > limit:
        raise S3Error("MaxMessageLengthExceeded", f"Your request was too big. It may have {limit} bytes.")
    raw = await _gather(request.chunks, said, limit)
    memory = _Memory()
    _take_whole(raw, said, lambda: memory, lambda _writer, _checksums: None)
    return b"".join(memory.parts)


class _Sink(Generic[W]):
    """What threads do with the pieces: decode, hash, write. One at a time, also when the request ends early."""

    def __init__(self, writer: W, said: Stated) -> None:
        self._writer = writer
        self._turn = threading.Lock()
        self._ended = False
        self._said = said
        framing = said.framing
        self._decoder = ChunkedBody(framing.verifier, framing.trailers) if framing.chunked else None
        self._sha256 = hashlib.sha256() if framing.sha256 is not None else None
        named = {*said.checksums, *filter(None, (said.trailing, said.computed))}
        self._hashers: dict[str, Hasher] = {name: new_hasher(name) for name in named}
        self._size = 0

    def feed(self, raw: bytes | memoryview) -> None:
        with self._turn:
            if not self._ended:
                self._feed(raw)

    def commit(self, commit: Callable[[W, Mapping[str, str]], T]) -> T:
        """Commit the writer when everything fits. Raises S3Error."""
        with self._turn:
            made = commit(self._writer, self._finish())
            self._ended = True
            return made

    def abort(self) -> None:
        with self._turn:
            self._ended = True
            self._writer.abort()

    def _feed(self, raw: bytes | memoryview) -> None:
        pieces: Iterable[bytes | memoryview] = (raw,) if self._decoder is None else self._decoder.feed(raw)
        for piece in pieces:
            self._size += len(piece)
            if self._said.size is not None and self._size > self._said.size:
                raise S3Error("InvalidRequest", "The body is longer than was stated")
            self._writer.write(piece)
            if self._sha256 is not None:
                self._sha256.update(piece)
            for hasher in self._hashers.values():
                hasher.update(piece)  # type: ignore[arg-type]

    def _finish(self) -> dict[str, str]:
        """The computed checksums. Raises S3Error when the body is not what was stated."""
        said = self._said
        if self._decoder is not None:
            self._decoder.finish()
        if said.size is not None and self._size != said.size:
            raise S3Error("IncompleteBody")
        if self._sha256 is not None and not hmac.compare_digest(self._sha256.hexdigest(), said.framing.sha256 or ""):
            raise S3Error("XAmzContentSHA256Mismatch", ServerComputedContentSHA256=self._sha256.hexdigest())
        if said.md5 is not None and said.md5 != self._writer.etag:
            raise S3Error("BadDigest")
        wanted = dict(said.checksums)
        if said.trailing is not None:
            assert self._decoder is not None
            value = self._decoder.trailers.get(f"x-amz-checksum-{said.trailing.lower()}", "")
            if not is_valid(said.trailing, value):
                raise S3Error("MalformedTrailerError", "The request contained trailing data that was not well-formed")
            wanted[said.trailing] = value
        computed = {name: encode(hasher.digest()) for name, hasher in self._hashers.items()}
        for name, value in wanted.items():
            if computed[name] != value:
                raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.")
        return computed


class _Memory:
    """A writer that keeps the bytes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._md5 = hashlib.md5(usedforsecurity=False)

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        self.parts.append(bytes(data))
        self._md5.update(data)

    def abort(self) -> None:
        self.parts.clear()


def _take_whole(
    raw: bytes | memoryview, said: Stated, begin: Callable[[], W], commit: Callable[[W, Mapping[str, str]], T]
) -> T:
    sink = _Sink(begin(), said)
    try:
        if raw:
            sink.feed(raw)
        return sink.commit(commit)
    except BaseException:
        sink.abort()
        raise


async def _gather(chunks: AsyncIterator[bytes], said: Stated, limit: int = _SMALL) -> bytes | memoryview:
    """A small body as it came over the wire. Chunk heads may add to what was stated, within reason."""
    most = (min(limit, said.size) if said.size is not None else limit) * 2 + (64 << 10)
    first, size = b"", 0
    whole: bytearray | None = None
    async for chunk in chunks:
        if size + len(chunk) > most:
            raise S3Error("InvalidRequest", "The body is longer than was stated")
        if not size:
            first = chunk
        else:
            if whole is None:  # filled as it comes: parts that are joined at the end take twice the room
                whole = bytearray(min(said.length, most))
                whole[:size] = first
            whole[size : size + len(chunk)] = chunk
        size += len(chunk)
    return first if whole is None else memoryview(whole)[:size]


async def _stream(chunks: AsyncIterator[bytes], sink: _Sink[W]) -> None:
    """Hand the body to the sink piece by piece; while one is worked on the next is received."""
    working: asyncio.Future[None] | None = None
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size >= PIECE:
                if working is not None:
                    await working
                working = asyncio.ensure_future(in_thread(sink.feed, b"".join(parts)))
                parts, size = [], 0
    finally:
        if working is not None:
            await working
    if parts:
        await in_thread(sink.feed, b"".join(parts))


def _size(request: Request, framing: Framing) -> int | None:
    stated = _number(request.header("x-amz-decoded-content-length" if framing.chunked else "content-length"))
    if stated is not None:
        return stated
    if framing.chunked or "chunked" not in request.header("transfer-encoding"):
        raise S3Error("MissingContentLength")
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _md5(request: Request) -> str | None:
    value = request.header("content-md5")
    if not value:
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest")
    return digest.hex()
