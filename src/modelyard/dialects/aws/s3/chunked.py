"""The ``aws-chunked`` transfer form: chunks with signatures or none, trailers behind the last.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html. Owns the
framing; signatures are checked by whoever is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from modelyard.dialects.aws.s3.errors import S3Error

_LINE_LIMIT = 4096
_TRAILERS_LIMIT = 16 << 10


class ChunkVerifier(Protocol):
    """Checks a body's chain of signatures. Each call raises S3Error when one does not fit."""

    def update(self, data: memoryview) -> None: ...

    def end_chunk(self, signature: str) -> None: ...

    def end_trailers(self, trailers: bytes, signature: str) -> None: ...


class _State(Enum):
    HEAD = auto()
    DATA = auto()
    GAP = auto()
    TRAILERS = auto()
    END = auto()


class ChunkedBody:
    """A decoder fed with what comes from the wire. ``trailers`` are known once ``finish`` has returned."""

    def __init__(self, verifier: ChunkVerifier | None, has_trailers: bool) -> None:
        self._verifier = verifier
        self._has_trailers = has_trailers
        self._state = _State.HEAD
        self._held = b""
        self._left = 0
        self._signature = ""
        self._trailing: list[tuple[str, str]] = []
        self._trailing_size = 0
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """The payload in these bytes, in pieces. Raises S3Error for a malformed or wrongly signed chunk."""
        view = memoryview(data)
        while view and self._state is not _State.END:
            if self._state is _State.DATA:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                if self._verifier is not None:
                    self._verifier.update(piece)
                yield piece
                if not self._left:
                    self._end_chunk()
                    self._state = _State.GAP
            else:
                line, view = self._line(view)
                if line is not None:
                    self._take_line(line)

    def finish(self) -> None:
        """The wire has ended. Raises S3Error when the body had not."""
        if self._state is _State.TRAILERS and not self._held:
            self._end_trailers()
        if self._state is not _State.END:
            raise S3Error("IncompleteBody")

    def _line(self, view: memoryview) -> tuple[bytes | None, memoryview]:
        """The next line without its end, once it is whole."""
        window = bytes(view[: _LINE_LIMIT + 2])
        end = window.find(b"\n")
        self._held += window if end < 0 else window[: end + 1]
        if len(self._held) > _LINE_LIMIT:
            raise S3Error("InvalidRequest", "A line of the aws-chunked body is too long")
        if end < 0:
            return None, view[len(window) :]
        line, self._held = self._held, b""
        if not line.endswith(b"\r\n"):
            raise S3Error("InvalidRequest", "A line of the aws-chunked body does not end with CR LF")
        return line[:-2], view[end + 1 :]

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.GAP:
            if line:
                raise S3Error("InvalidRequest", "A chunk is longer than it says")
            self._state = _State.HEAD
        elif self._state is _State.HEAD:
            self._start_chunk(line)
        elif line:
            name, colon, value = line.decode("latin-1").partition(":")
            self._trailing_size += len(line)
            if not colon or self._trailing_size > _TRAILERS_LIMIT:
                raise S3Error("InvalidRequest", "The trailers of the aws-chunked body are malformed")
            self._trailing.append((name.strip().lower(), value.strip()))
        else:
            self._end_trailers()

    def _start_chunk(self, line: bytes) -> None:
        size, _, extensions = line.decode("latin-1").partition(";")
        try:
            self._left = int(size, 16) if 0 < len(size) <= 16 else -1
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise S3Error("InvalidRequest", "A chunk of the aws-chunked body states no valid size")
        self._signature = extensions.partition("chunk-signature=")[2].partition(";")[0].strip()
        if self._left:
            self._state = _State.DATA
            return
        self._end_chunk()
        self._state = _State.TRAILERS

    def _end_chunk(self) -> None:
        if self._verifier is not None:
            self._verifier.end_chunk(self._signature)

    def _end_trailers(self) -> None:
        self._state = _State.END
        signatures = [value for name, value in self._trailing if name == "x-amz-trailer-signature"]
        plain = [(name, value) for name, value in self._trailing if name != "x-amz-trailer-signature"]
        if plain and not self._has_trailers:
            raise S3Error("InvalidRequest", "The aws-chunked body has trailers that were not announced")
        if self._verifier is not None and self._has_trailers:
            signed = "".join(f"{name}:{value}\n" for name, value in plain).encode("latin-1")
            self._verifier.end_trailers(signed, signatures[0] if signatures else "")
        self.trailers = dict(plain)
