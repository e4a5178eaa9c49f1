"""CBOR as Smithy's RPC v2 uses it, in definite and indefinite lengths.

Owns bytes only (https://www.rfc-editor.org/rfc/rfc8949, https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html).
Decodes whatever a client may send within a depth bound; encodes what our writers hand over.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

_DEEPEST = 64
_BREAK = object()
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}


class CborError(ValueError):
    """The bytes are not one CBOR value."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Epoch seconds, tagged as such on the wire."""

    seconds: float


def loads(data: bytes) -> Any:
    """The one value that ``data`` holds; a tagged time is its number. Raises CborError.

    >>> loads(dumps({"a": [1, -2, 0.5, "x", b"y", True, None]}))
    {'a': [1, -2, 0.5, 'x', b'y', True, None]}
    """
    reader = _Reader(data)
    value = reader.value(0)
    if value is _BREAK or reader.at != len(data):
        raise CborError("the body is not one CBOR value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            raise CborError("the body ends inside a CBOR value")
        self.at += count
        return taken

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise CborError(f"the body nests deeper than {_DEEPEST}")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        count = self._count(info)
        if major in (2, 3):
            return self._text(count, major)
        if major in (4, 5):
            return self._items(count, depth) if major == 4 else self._map(count, depth)
        if count is None:
            raise CborError("an indefinite length is not allowed here")
        if major == 6:
            return self.value(depth + 1)
        return count if major == 0 else -1 - count

    def _count(self, info: int) -> int | None:
        if info < 24:
            return info
        if info == 31:
            return None
        if info > 27:
            raise CborError("a reserved CBOR length")
        return int.from_bytes(self.take(1 << (info - 24)), "big")

    def _simple(self, info: int) -> Any:
        if info == 31:
            return _BREAK
        if info in _FLOATS:
            form, size = _FLOATS[info]
            return struct.unpack(form, self.take(size))[0]
        if info not in _SIMPLE:
            raise CborError(f"unknown CBOR simple value {info}")
        return _SIMPLE[info]

    def _text(self, count: int | None, major: int) -> str | bytes:
        joined = b"".join(self._pieces(major)) if count is None else self.take(count)
        if major == 2:
            return joined
        try:
            return joined.decode()
        except UnicodeDecodeError as error:
            raise CborError("a CBOR text is not UTF-8") from error

    def _pieces(self, major: int) -> list[bytes]:
        pieces = []
        while (first := self.take(1)[0]) != 0xFF:
            count = self._count(first & 31)
            if first >> 5 != major or count is None:
                raise CborError("a CBOR text holds something else")
            pieces.append(self.take(count))
        return pieces

    def _items(self, count: int | None, depth: int) -> list[Any]:
        items: list[Any] = []
        while count is None or len(items) < count:
            item = self.value(depth + 1)
            if item is _BREAK:
                if count is None:
                    return items
                raise CborError("a CBOR list ends early")
            items.append(item)
        return items

    def _map(self, count: int | None, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        read = 0
        while count is None or read < count:
            key = self.value(depth + 1)
            if key is _BREAK and count is None:
                return entries
            value = self.value(depth + 1)
            if not isinstance(key, str) or value is _BREAK:
                raise CborError("a CBOR map's keys are not all text")
            entries[key] = value
            read += 1
        return entries


def dumps(value: Any) -> bytes:
    """The CBOR of JSON-like values, bytes and ``Moment``s."""
    out = bytearray()
    _write(value, out)
    return bytes(out)


def _write(value: Any, out: bytearray) -> None:
    if value is None or isinstance(value, bool):
        out.append(0xF6 if value is None else 0xF5 if value else 0xF4)
    elif isinstance(value, int):
        _head(0 if value >= 0 else 1, value if value >= 0 else -1 - value, out)
    elif isinstance(value, float):
        out += b"\xf9\x7e\x00" if math.isnan(value) else b"\xfb" + struct.pack(">d", value)
    elif isinstance(value, Moment):
        out.append(0xC1)
        _write(value.seconds, out)
    elif isinstance(value, str | bytes):
        encoded = value.encode() if isinstance(value, str) else value
        _head(3 if isinstance(value, str) else 2, len(encoded), out)
        out += encoded
    elif isinstance(value, dict):
        _head(5, len(value), out)
        for key, element in value.items():
            _write(key, out)
            _write(element, out)
    else:
        _head(4, len(value), out)
        for element in value:
            _write(element, out)


def _head(major: int, count: int, out: bytearray) -> None:
    if count < 24:
        out.append(major << 5 | count)
        return
    for power in range(4):
        size = 1 << power
        if count < 1 << (8 * size):
            out.append(major << 5 | (24 + power))
            out += count.to_bytes(size, "big")
            return
    raise CborError(f"{count} does not fit 64 bits")
