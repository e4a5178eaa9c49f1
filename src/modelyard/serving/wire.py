"""Frames between the front and an endpoint worker over a Unix stream socket, many requests to a frame.

A frame is ``count`` and for each item ``code, meta length, payload length`` (unsigned 32-bit, little endian), then for
each item its meta (a JSON object of strings, or nothing) and its payload; ``code`` is 0 in a request, in an answer the
status. A frame is answered by one of as many items in the same order; the next is sent when the last was answered.
Owns these bytes and the worker's blocking loop. Refuses to know what a payload means.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

_COUNT = struct.Struct("<I")
_ITEM = struct.Struct("<III")
_ONE = struct.Struct("<IIII")
_READ = 1 << 18

MAX_ITEMS = 4096
MAX_META = 1 << 20
MAX_FRAME = 1 << 30
"""Bytes of one frame. A frame past these three is malformed and ends its connection."""
FRONT_PATIENCE = 30.0
"""Seconds for which a worker waits for a front that stops in the middle of a frame or of taking an answer."""


class BadFrame(Exception):
    """The peer sent bytes that are no frame."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as a worker sees it."""

    meta: Mapping[str, str]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A worker's answer to one request: status 200 with a body, or the hook's own status and message."""

    status: int
    body: bytes
    meta: Mapping[str, str] = field(default_factory=dict)


Raw = tuple[int, bytes, bytes]
"""An item undecoded: code, meta, payload."""


def encode_meta(meta: Mapping[str, str]) -> bytes:
    """The bytes of an item's meta; nothing for an empty one."""
    return orjson.dumps(dict(meta)) if meta else b""


def decode_meta(raw: bytes) -> dict[str, str]:
    """The meta of those bytes. Raises BadFrame when they are no JSON object of strings."""
    if not raw:
        return {}
    try:
        meta = orjson.loads(raw)
    except ValueError as error:
        raise BadFrame(f"an item's meta is not JSON: {error}") from error
    if not isinstance(meta, dict) or not all(isinstance(value, str) for value in meta.values()):
        raise BadFrame("an item's meta is not an object of strings")
    return meta


def encode(items: Sequence[Raw]) -> list[bytes]:
    """A frame as buffers to be written one after the other."""
    if len(items) == 1:
        code, meta, payload = items[0]
        head = _ONE.pack(1, code, len(meta), len(payload)) + meta
        return [head + payload] if len(payload) <= _READ else [head, payload]
    parts = [_COUNT.pack(len(items))]
    parts += [_ITEM.pack(code, len(meta), len(payload)) for code, meta, payload in items]
    for _, meta, payload in items:
        parts += (meta, payload)
    return [b"".join(parts)] if sum(map(len, parts)) <= _READ else parts


class FrameParser:
    """Frames out of a byte stream, whichever way it is cut. Not thread-safe."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = _COUNT.size

    def feed(self, data: bytes) -> list[list[Raw]]:
        """The frames that ``data`` completed. Raises BadFrame; the parser is then of no further use."""
        if not self._buffer:
            whole = _parse(data, 0)
            if not isinstance(whole, int) and whole[1] == len(data):
                return [whole[0]]
        self._buffer += data
        return self._complete()

    def _complete(self) -> list[list[Raw]]:
        frames: list[list[Raw]] = []
        start = 0
        while len(self._buffer) - start >= self._wanted:
            whole = _parse(self._buffer, start)
            if isinstance(whole, int):
                self._wanted = whole
                continue
            frames.append(whole[0])
            start = whole[1]
            self._wanted = _COUNT.size
        del self._buffer[:start]
        return frames


def _parse(data: bytes | bytearray, start: int) -> tuple[list[Raw], int] | int:
    """The frame at ``start`` and where it ends, or how many bytes from ``start`` on are needed to say more."""
    have = len(data) - start
    if have < _COUNT.size:
        return _COUNT.size
    count: int = _COUNT.unpack_from(data, start)[0]
    if not 0 < count <= MAX_ITEMS:
        raise BadFrame(f"a frame of {count} items")
    size = _COUNT.size + count * _ITEM.size
    if have < size:
        return size
    heads = list(_ITEM.iter_unpack(memoryview(data)[start + _COUNT.size : start + size]))
    at = start + size
    for _, meta_length, payload_length in heads:
        if meta_length > MAX_META:
            raise BadFrame(f"a meta of {meta_length} bytes")
        size += meta_length + payload_length
    if size > MAX_FRAME:
        raise BadFrame(f"a frame of {size} bytes")
    if have < size:
        return size
    items: list[Raw] = []
    view = memoryview(data)
    for code, meta_length, payload_length in heads:
        middle = at + meta_length
        end = middle + payload_length
        items.append((code, bytes(view[at:middle]), bytes(view[middle:end])))
        at = end
    view.release()
    return items, at


def send_frame(connection: socket.socket, items: Sequence[Raw]) -> None:
    """Write one frame, blocking. Raises OSError when the peer is gone."""
    for part in encode(items):
        connection.sendall(part)


def receive_frame(connection: socket.socket, parser: FrameParser) -> list[Raw] | None:
    """The next frame, blocking; None when the peer has ended. Raises BadFrame, OSError.

    For a connection on which frames and answers alternate, as the front's do.
    """
    while True:
        data = connection.recv(_READ)
        if not data:
            return None
        if frames := parser.feed(data):
            return frames[0]


Handle = Callable[[list[Ask]], Sequence[Reply]]


def serve(listener: socket.socket, handle: Handle, stop_fd: int) -> None:
    """A worker's life: answer frames of every front that connects, one frame at a time, in one blocking loop.

    Returns once ``stop_fd`` is readable and what has arrived is answered (a SIGTERM handler writes to its other
    end). ``handle`` must answer every item; what it raises ends the worker. A front that breaks off or sends
    no frame loses its connection, nothing else.
    """
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(stop_fd, select.POLLIN)
    fronts: dict[int, tuple[socket.socket, FrameParser]] = {}
    try:
        while True:
            ready = [fd for fd, _ in poll.poll()]
            for fd in ready:
                if fd == listener.fileno():
                    connection, _ = listener.accept()
                    connection.settimeout(FRONT_PATIENCE)
                    fronts[connection.fileno()] = (connection, FrameParser())
                    poll.register(connection, select.POLLIN)
                elif fd in fronts and not _answer(*fronts[fd], handle):
                    poll.unregister(fd)
                    fronts.pop(fd)[0].close()
            if stop_fd in ready and all(fd in (stop_fd, listener.fileno()) for fd in ready):
                break
    finally:
        for connection, _ in fronts.values():
            connection.close()


def _answer(connection: socket.socket, parser: FrameParser, handle: Handle) -> bool:
    try:
        items = receive_frame(connection, parser)
        if items is None:
            return False
        asks = [Ask(decode_meta(meta), payload) for _, meta, payload in items]
    except (OSError, BadFrame):
        return False
    replies = handle(asks)
    try:
        send_frame(connection, [(reply.status, encode_meta(reply.meta), reply.body) for reply in replies])
    except OSError:
        return False
    return True
