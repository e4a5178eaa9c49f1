"""The front's ear for the server: a Unix socket on which states come in and reports go out.

One JSON document a line. From the server ``{"type": "state", "number": n, "state": {...}}``, answered with
``{"type": "taken", "number": n}``; to the server ``{"type": "worker_hung", "endpoint_id": ..., "socket": ...}``, said
again to each server that connects until a state names that worker no more. The last server to connect is the one
that counts. Owns how long the front lives without one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from modelyard.base.clock import Clock
from modelyard.base.disk import listen_unix
from modelyard.edge.state import FrontState, from_json

_log = logging.getLogger(__name__)


class ServerEar:
    """``take`` is given each state; it returns when the front works by it."""

    def __init__(self, path: Path, take: Callable[[FrontState], None], clock: Clock, patience: float) -> None:
        """``patience``: seconds without a server after which ``is_forsaken``."""
        self._path = path
        self._take = take
        self._clock = clock
        self._patience = patience
        self._connection: _Connection | None = None
        self._alone_since = clock.monotonic()
        self._hung: dict[str, str] = {}
        self._listening: asyncio.Server | None = None

    async def listen(self) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_unix_server(lambda: _Connection(self), sock=listen_unix(self._path))

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._connection is not None:
            self._connection.transport.abort()
        self._path.unlink(missing_ok=True)

    @property
    def is_forsaken(self) -> bool:
        """Whether no server has come for so long that the front should end."""
        return self._connection is None and self._clock.monotonic() - self._alone_since > self._patience

    def report_hung(self, endpoint_id: str, socket: str) -> None:
        """Tell the server, now or when there is one, that a worker must be replaced."""
        self._hung[socket] = endpoint_id
        if self._connection is not None:
            self._connection.say(_hung(endpoint_id, socket))

    def arrived(self, connection: _Connection) -> None:
        before, self._connection = self._connection, connection
        if before is not None:
            before.transport.abort()
        for socket, endpoint_id in self._hung.items():
            connection.say(_hung(endpoint_id, socket))

    def left(self, connection: _Connection) -> None:
        if connection is self._connection:
            self._connection = None
            self._alone_since = self._clock.monotonic()

    def heard(self, connection: _Connection, line: bytes) -> None:
        """Raises ValueError, KeyError, TypeError for a line that is no state."""
        document = orjson.loads(line)
        if connection is not self._connection or document["type"] != "state":
            return
        state = from_json(document["state"])
        self._take(state)
        named = {socket for route in state.routes for variant in route.variants for socket in variant.sockets}
        self._hung = {socket: endpoint for socket, endpoint in self._hung.items() if socket in named}
        connection.say({"type": "taken", "number": document["number"]})


def _hung(endpoint_id: str, socket: str) -> dict[str, Any]:
    return {"type": "worker_hung", "endpoint_id": endpoint_id, "socket": socket}


class _Connection(asyncio.Protocol):
    def __init__(self, ear: ServerEar) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self._ear = ear
        self._held = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._ear.arrived(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._ear.left(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if b"\n" not in data:
            return
        *lines, rest = bytes(self._held).split(b"\n")
        self._held = bytearray(rest)
        for line in lines:
            try:
                self._ear.heard(self, line)
            except (KeyError, TypeError, ValueError):
                _log.exception("the server sent something that is no state")
                self.transport.abort()
                return

    def say(self, document: dict[str, Any]) -> None:
        self.transport.write(orjson.dumps(document) + b"\n")
