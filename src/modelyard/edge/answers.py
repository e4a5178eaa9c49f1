"""The heads of the server's responses as bytes, and how each body is framed.

Follows RFC 9110 and 9112. Owns no I/O. Values that operations echo cannot end their line.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from modelyard.edge.http import Response

LAST_CHUNK = b"0\r\n\r\n"
_CONTROLS = dict.fromkeys((*range(0x20), 0x7F), " ")


@dataclass(frozen=True, slots=True)
class Frame:
    """A head, the length of the body behind it (None: chunked), and whether the connection ends with it."""

    head: bytes
    length: int | None
    close: bool


def frame_of(response: Response, length: int | None, close: bool) -> Frame:
    """The head of a response whose body has ``length`` bytes, or the stated Content-Length, or comes in chunks."""
    status = response.status
    if status == 304:
        length = None  # only what is stated: it is the length of what a 200 would have carried
    lines = [_start(status, int(time.time()))]
    for name, value in response.headers:
        lowered = name.lower()
        if lowered == "content-length":
            length = int(value)
        elif lowered == "connection":
            close = close or value.lower() == "close"
        else:
            line = f"{name}: {value}"
            lines.append(line if line.isprintable() else line.translate(_CONTROLS))
    if length is not None:
        if status != 204:
            lines.append(f"content-length: {length}")
    elif status not in (204, 304):
        lines.append("transfer-encoding: chunked")
    lines.append("connection: close\r\n\r\n" if close else "\r\n")
    return Frame("\r\n".join(lines).encode("latin-1", "replace"), length, close)


def chunk_of(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


@lru_cache(maxsize=256)
def _start(status: int, second: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    return f"HTTP/1.1 {status} {phrase}\r\ndate: {_date(second)}"


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    t = time.gmtime(second)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{days[t.tm_wday]}, {t.tm_mday:02} {months[t.tm_mon - 1]} {t.tm_year} {clock} GMT"
