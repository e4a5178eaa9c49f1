"""How the server's responses are framed: where each ends, so that a connection to it can be used again.

The server behind is ours; its heads are trusted to be well-formed, not its life: it may end anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[ \t]*([^\r]*)(?=\r\n)", re.IGNORECASE)

UNTIL_CLOSE = -1
CHUNKED = -2


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response's head. ``length`` is the body's, UNTIL_CLOSE or CHUNKED."""

    raw: bytes
    status: int
    length: int
    close: bool

    def for_client(self, close: bool, modern: bool, more: bytes = b"") -> bytes:
        """The head for the client: its Connection field ours, ``more`` fields added, for HTTP/1.0 not chunked."""
        raw = _CONNECTION.sub(b"", self.raw) if self.close else self.raw
        if not modern and self.length == CHUNKED:
            raw = _CHUNKED.sub(b"\r\n", raw)
        if close:
            return raw[:-2] + more + b"connection: close\r\n\r\n"
        if not modern:
            return raw[:-2] + more + b"connection: keep-alive\r\n\r\n"
        return raw[:-2] + more + b"\r\n" if more else raw


def read_head(raw: bytes, method: str) -> ResponseHead:
    """A head that ends with its empty line. Raises ValueError."""
    status = int(raw[9:12])
    found = _CONNECTION.search(raw) if b"onnection:" in raw else None  # a plain search first: it is rare
    close = found is not None and found[1].strip().lower() == b"close"
    if method == "HEAD" or status in (204, 304) or status < 200:
        return ResponseHead(raw, status, 0, close)
    stated = _LENGTH.search(raw)
    if stated is not None:
        return ResponseHead(raw, status, int(stated[1]), close)
    return ResponseHead(raw, status, CHUNKED if _CHUNKED.search(raw) else UNTIL_CLOSE, close)


class Chunks:
    """Follows a chunked body to its end; ``feed`` answers the payload in these bytes."""

    def __init__(self) -> None:
        self.ended = False
        self._left = 0
        self._line = b""
        self._last = False

    def feed(self, data: bytes) -> list[bytes]:
        """Raises ValueError for bytes that are no chunk."""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.ended:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                self._left -= 1
                at += 1
            else:
                end = data.find(b"\n", at)
                if end < 0:
                    self._line += data[at:]
                    break
                self._take(self._line + data[at : end + 1])
                at = end + 1
        return pieces

    def _take(self, line: bytes) -> None:
        self._line = b""
        if self._last:
            self.ended = line == b"\r\n"
            return
        size = int(line.partition(b";")[0], 16)
        self._last = size == 0
        self._left = size + 2 if size else 0
