"""Everything but predictions: a request's bytes to the server, its answer's bytes back, neither ever held whole.

Connections to the server are kept and used again; whichever side is slower slows the other down. While the server
is away its callers are told to come back. A request that the server may have seen is never sent twice. Owns
upgraded connections (WebSocket) until either side ends them.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from modelyard.base.clock import Clock
from modelyard.base.disk import connect_unix
from modelyard.core.deployments.ports import Refusal, WireAnswer
from modelyard.edge.client import ClientConnection, Exchange
from modelyard.edge.heads import Head, answer_bytes
from modelyard.edge.responses import CHUNKED, UNTIL_CLOSE, Chunks, ResponseHead, read_head

IDLE = 3.0
"""Seconds for which an unused connection to the server is kept."""
HEAD_LIMIT = 256 * 1024
WHOLE = 64 * 1024
"""A response of at most so many bytes goes to the client in one piece, once it is whole: a server that dies
meanwhile leaves a refusal, never half an answer (some clients do not notice a body that is too short)."""


class User(Protocol):
    """Who sends one request over a connection to the server and takes its response."""

    method: str
    complete: bool
    """Whether the request has been sent whole."""

    def on_head(self, head: ResponseHead) -> None: ...

    def on_interim(self, raw: bytes) -> None: ...

    def on_data(self, data: bytes, payload: list[bytes] | None) -> None:
        """``data`` as it came; ``payload``: what is in it when it is chunked."""
        ...

    def flush(self) -> None:
        """No more of the bytes that held the head is to come now: what was kept back should go out."""
        ...

    def on_end(self) -> None: ...

    def on_broken(self) -> None: ...

    def server_blocked(self, blocked: bool) -> None: ...


class ServerConnection(asyncio.Protocol):
    """One connection to the server; at most one user at a time."""

    def __init__(self, link: ServerLink) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.user: User | None = None
        self.idle_since = 0.0
        self.tunnel: Callable[[bytes], None] | None = None
        self._link = link
        self._held = b""
        self._head: ResponseHead | None = None
        self._left = 0
        self._chunks: Chunks | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=512 * 1024)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._link.forget(self)
        user, self.user = self.user, None
        if user is None:
            return
        if self._head is not None and self._left == UNTIL_CLOSE and self.tunnel is None and exc is None:
            user.on_end()
        else:
            user.on_broken()

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.server_blocked(True)

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.server_blocked(False)

    def data_received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel(data)
        elif self.user is None:
            self.transport.abort()
        elif self._head is None:
            self._take_head(data)
        else:
            self._take_body(data)

    def open_tunnel(self, take: Callable[[bytes], None]) -> None:
        self.tunnel = take

    def _take_head(self, data: bytes) -> None:
        assert self.user is not None
        data = self._held + data if self._held else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._held = data
            if len(data) > HEAD_LIMIT:
                self.transport.abort()
            return
        self._held = b""
        end += 4
        try:
            head = read_head(data[:end] if end < len(data) else data, self.user.method)
        except ValueError:
            self.transport.abort()
            return
        if head.status < 200 and head.status != 101:
            self.user.on_interim(head.raw)
            if data[end:]:
                self._take_head(data[end:])
            return
        self._head = head
        self._left = head.length
        self._chunks = Chunks() if head.length == CHUNKED else None
        self.user.on_head(head)
        if self.tunnel is not None:
            if data[end:]:
                self.tunnel(data[end:])
        elif self.user is not None:
            self._take_body(data[end:])
            if self.user is not None:
                self.user.flush()

    def _take_body(self, data: bytes) -> None:
        user = self.user
        assert user is not None
        if self._chunks is not None:
            try:
                payload = self._chunks.feed(data)
            except ValueError:
                self.transport.abort()
                return
            user.on_data(data, payload)
            if self._chunks.ended:
                self._end()
        elif self._left == UNTIL_CLOSE:
            if data:
                user.on_data(data, None)
        else:
            if len(data) > self._left:
                self.transport.abort()
                return
            if data:
                self._left -= len(data)
                user.on_data(data, None)
            if not self._left:
                self._end()

    def _end(self) -> None:
        """The response is whole; the connection can be used again if both sides are done with the request."""
        user, self.user = self.user, None
        head, self._head = self._head, None
        self._chunks = None
        if user is None or head is None:
            return
        self._link.release(self, close=head.close or not user.complete)
        user.on_end()


class ServerLink:
    """The way to the server's socket: connections that are free, and new ones."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._free: list[ServerConnection] = []

    def take(self) -> ServerConnection | None:
        """A free connection, if there is one."""
        now = self._clock.monotonic()
        while self._free:
            connection = self._free.pop()
            if not connection.transport.is_closing() and now - connection.idle_since < IDLE:
                return connection
            connection.transport.abort()
        return None

    async def connect(self) -> ServerConnection:
        """A new connection. Raises OSError while the server is away."""
        for _ in range(50):
            try:
                sock = connect_unix(self._path, timeout=0)
                break
            except BlockingIOError:
                await asyncio.sleep(0.02)
        else:
            raise OSError(errno.EAGAIN, "the server takes no more connections")
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            lambda: ServerConnection(self), sock=sock
        )
        return connection

    def release(self, connection: ServerConnection, close: bool) -> None:
        """A response has ended; ``close``: the connection cannot be used again."""
        if close or connection.transport.is_closing() or connection.transport.get_write_buffer_size():
            connection.transport.abort()
            return
        connection.idle_since = self._clock.monotonic()
        connection.transport.resume_reading()
        self._free.append(connection)

    def forget(self, connection: ServerConnection) -> None:
        if connection in self._free:
            self._free.remove(connection)

    def check_times(self, now: float) -> None:
        for connection in [c for c in self._free if now - c.idle_since >= IDLE]:
            connection.transport.close()

    def close(self) -> None:
        for connection in tuple(self._free):
            connection.transport.abort()


class Relay(Exchange):
    """A request that the server answers."""

    def __init__(
        self,
        client: ClientConnection,
        head: Head,
        link: ServerLink,
        away: Callable[[Head, Refusal], WireAnswer],
        mark: Callable[[ClientConnection], asyncio.Future[bool] | None] | None,
    ) -> None:
        """``mark`` finds out whether a job sent this; None when that does not matter."""
        super().__init__(client, head)
        self.method = head.method
        self.more = b""
        """Fields added to the response's head."""
        self._link = link
        self._away = away
        self._mark = mark
        self._early: list[bytes] = []
        self._kept = b""
        """What of the response is kept back: its head while its first bytes may still come with it, or all of it."""
        self._in_one_piece = False
        self._server: ServerConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._blocked = False

    @property
    def held(self) -> int:
        return sum(map(len, self._early))

    # The request's way

    def begin(self) -> None:
        marking = self._mark(self.client) if self._mark is not None else None
        server = self._link.take() if marking is None else None
        if server is not None:
            self._attach(server)
        else:
            self._task = asyncio.ensure_future(self._connect(marking))

    async def _connect(self, marking: asyncio.Future[bool] | None) -> None:
        try:
            if marking is not None:
                self.client.from_job = await marking
            server = self._link.take() or await self._link.connect()
        except OSError:
            self._refuse()
            return
        finally:
            self._task = None
        self._attach(server)

    def _attach(self, server: ServerConnection) -> None:
        self._server = server
        server.user = self
        from_job = self._mark is not None and bool(self.client.from_job)
        early, self._early = self._early, []
        server.transport.write(b"".join((self.head.rebuilt(self.client.peer[0], from_job), *early)))
        if early:
            self.client.balance()

    def feed(self, data: bytes) -> None:
        if self.head.is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._send(data)

    def end(self) -> None:
        if self.head.is_chunked:
            self._send(b"0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        if self._server is not None:
            self._server.transport.write(data)
        elif not self.written:
            self._early.append(data)

    def server_blocked(self, blocked: bool) -> None:
        self.client.pause_reading(blocked)

    # The answer's way

    def on_interim(self, raw: bytes) -> None:
        if self.head.modern:
            self.client.transport.write(raw)

    def on_head(self, head: ResponseHead) -> None:
        if head.status == 101 and self.head.is_upgrade and self._server is not None:
            self.written = True
            self.client.transport.write(head.raw)
            Tunnel(self.client, self._server, self._early)
            self._server = None
            return
        unframed = head.length == UNTIL_CLOSE or (head.length == CHUNKED and not self.head.modern)
        if unframed or not self.complete or self.head.is_upgrade:
            self.head.keep_alive = False
        self._in_one_piece = 0 <= head.length <= WHOLE
        self._kept = head.for_client(not self.head.keep_alive, self.head.modern, self.more)

    def on_data(self, data: bytes, payload: list[bytes] | None) -> None:
        if payload is not None and not self.head.modern:
            data = b"".join(payload)
        if self._in_one_piece:
            self._kept += data
            return
        if self._kept:
            # One write of head and first bytes costs half of two.
            data, self._kept = self._kept + data, b""
        self._write(data)

    def flush(self) -> None:
        if self._kept and not self._in_one_piece:
            kept, self._kept = self._kept, b""
            self._write(kept)

    def _write(self, data: bytes) -> None:
        self.written = True
        self.client.transport.write(data)

    def on_end(self) -> None:
        if self._kept:
            self._write(self._kept)
        self._server = None
        self.client.pause_reading(False)
        self.client.finish(self, close=not self.head.keep_alive)

    def on_broken(self) -> None:
        self._server = None
        self.client.pause_reading(False)
        if self.written:
            self.client.transport.abort()
        else:
            self._refuse()

    def write_blocked(self, blocked: bool) -> None:
        if self._server is None or self._server.transport.is_closing():
            return
        if blocked:
            self._server.transport.pause_reading()
        else:
            self._server.transport.resume_reading()

    def lost(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            server, self._server = self._server, None
            server.user = None
            server.transport.abort()

    def _refuse(self) -> None:
        self._early.clear()
        self.written = True
        answer = self._away(self.head, Refusal("unavailable", "the server is starting or restarting; try again"))
        close = not self.complete or not self.head.keep_alive or self.head.is_upgrade
        self.client.transport.write(answer_bytes(answer, self.head, close))
        self.client.finish(self, close)


class Tunnel:
    """Two connections after a switch of protocols: what one sends the other gets, until either ends."""

    method = "GET"
    complete = True

    def __init__(self, client: ClientConnection, server: ServerConnection, early: list[bytes]) -> None:
        self._client = client
        self._server = server
        server.user = self
        server.open_tunnel(self._from_server)
        for data in early:
            server.transport.write(data)
        client.open_tunnel(self)

    def from_client(self, data: bytes) -> None:
        self._server.transport.write(data)

    def client_blocked(self, blocked: bool) -> None:
        if not self._server.transport.is_closing():
            (self._server.transport.pause_reading if blocked else self._server.transport.resume_reading)()

    def client_lost(self) -> None:
        self._server.user = None
        self._server.transport.close()

    def _from_server(self, data: bytes) -> None:
        self._client.transport.write(data)

    def server_blocked(self, blocked: bool) -> None:
        self._client.pause_reading(blocked)

    def on_broken(self) -> None:
        self._client.end_now()

    on_end = on_broken

    def on_head(self, head: ResponseHead) -> None:
        """Never: the response's head has gone by."""

    def on_interim(self, raw: bytes) -> None:
        """Never, likewise."""

    def on_data(self, data: bytes, payload: list[bytes] | None) -> None:
        """Never: ``_from_server`` takes the bytes."""

    def flush(self) -> None:
        """Never, likewise."""
