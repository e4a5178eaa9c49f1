"""HTTP/1.1 behind the front: requests out of its connections, each answered before the next one comes.

Owns framing, backpressure both ways and what is answered when a handler fails. The front has seen every request
first: it is well-formed, within limits, and its headers ``x-modelyard-front-...`` say who sent it. Another
kind of application would be bridged as one more ``Handler``. Follows RFC 9112. Refuses to know dialects.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httptools

from modelyard.edge.answers import LAST_CHUNK, Frame, chunk_of, frame_of
from modelyard.edge.http import BodyTooLarge, ClientGone, Request, Response

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response]]
"""Called in the event loop. A response that takes no waiting is returned as it is: it costs no task."""

WAITING = 256 * 1024
"""Bytes of a body that nobody has taken yet past which nothing more is read from the connection."""
UNSENT = 512 * 1024
"""Bytes that the front has not taken yet past which a streamed response waits."""
_ONE_WRITE = 64 * 1024
"""Bytes of a body that are joined to their head: one write costs half of two, a copy of more costs more."""
_OWN = "x-modelyard-front-"


class Backend:
    """Listens for the front and hands each request to ``handler``. All of it belongs to one event loop."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[Connection] = set()
        self.is_closing = False
        self._server: asyncio.Server | None = None
        self._empty: asyncio.Event | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections on a socket that is bound, Unix or TCP; it is closed by ``close``."""
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            return Connection(self, loop)

        if listener.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(connection, sock=listener, backlog=1024)
        else:
            self._server = await loop.create_server(connection, sock=listener, backlog=1024)

    async def close(self, grace: float = 5.0) -> None:
        """Accept nothing more, leave what is being answered ``grace`` seconds, then end every connection."""
        self.is_closing = True
        if self._server is not None:
            self._server.close()
        self._empty = asyncio.Event()
        for connection in tuple(self.connections):
            connection.close_when_idle()
        if self.connections:
            try:
                await asyncio.wait_for(self._empty.wait(), grace)
            except TimeoutError:
                for connection in tuple(self.connections):
                    connection.abort()
        await asyncio.sleep(0)

    def left(self, connection: Connection) -> None:
        """The connection has ended."""
        self.connections.discard(connection)
        if self._empty is not None and not self.connections:
            self._empty.set()


class _Body:
    """The bytes of one request as they come: an asynchronous iterator for one taker."""

    __slots__ = ("_connection", "_parts", "_size", "_waiter", "complete", "expects", "is_gone", "refused")

    def __init__(self, connection: Connection) -> None:
        self.complete = False
        self.refused = False
        """Whether nobody will take any more of it."""
        self.is_gone = False
        self.expects = False
        """Whether the client waits to be told to send it."""
        self._connection = connection
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self.complete:
                raise StopAsyncIteration
            if self.is_gone:
                raise ClientGone
            if self.expects:
                self.expects = False
                self._connection.say_continue()
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        part = self._parts.popleft()
        self._size -= len(part)
        if self._size <= WAITING:
            self._connection.read_on(True)
        return part

    def joined(self) -> bytes:
        """All of a complete body; ``__anext__`` still answers it."""
        if len(self._parts) > 1:
            self._parts = deque((b"".join(self._parts),))
        return self._parts[0] if self._parts else b""

    def feed(self, data: bytes) -> None:
        if self.refused:
            return
        self.expects = False
        self._parts.append(data)
        self._size += len(data)
        if self._size > WAITING:
            self._connection.read_on(False)
        self._wake()

    def end(self) -> None:
        self.complete = True
        self._wake()

    def lose(self) -> None:
        """The client has gone: whoever waits for more, now or later, gets ClientGone."""
        self.is_gone = True
        self._wake()

    def refuse(self) -> None:
        """Throw away what is here and what still comes."""
        self.refused = True
        self._parts.clear()
        self._size = 0
        self._connection.read_on(True)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


@dataclass(slots=True, eq=False)
class _Turn:
    """One request of a connection. ``close``: the client wants no other after it."""

    request: Request
    body: _Body
    close: bool
    answered: bool = False
    """Whether all of its answer has been written."""


class Connection(asyncio.Protocol):
    """One connection of the front, which sends its next request when it has the answer to the last one whole. That
    may be before whoever wrote it has ended here, so one request may wait for its turn."""

    def __init__(self, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._backend = backend
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._turns: deque[_Turn] = deque()
        self._now: _Turn | None = None
        """The first of them, once it is being answered."""
        self._ending = False
        self._reading = True
        self._blocked: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=UNSENT)
        self._backend.connections.add(self)
        if self._backend.is_closing:  # accepted while the end began
            self.close_when_idle()

    def connection_lost(self, exc: BaseException | None) -> None:
        for turn in self._turns:
            turn.body.lose()
        self.resume_writing()
        self._backend.left(self)

    def pause_writing(self) -> None:
        self._blocked = self.loop.create_future()

    def resume_writing(self) -> None:
        blocked, self._blocked = self._blocked, None
        if blocked is not None and not blocked.done():
            blocked.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._turns[-1].close = True  # the parser reads no further, and we speak nothing else
        except httptools.HttpParserError as error:
            _log.error("what the front sent is no request: %s", error)
            self.abort()
            return
        self._begin()

    # From the parser

    def on_message_begin(self) -> None:
        if len(self._turns) > 1:
            raise ValueError("more than one request waits for its turn")
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        body = _Body(self)
        request = _request(self._parser.get_method().decode(), self._url, self._headers, body)
        self._turns.append(_Turn(request, body, close=not self._parser.should_keep_alive()))

    def on_body(self, data: bytes) -> None:
        self._turns[-1].body.feed(data)

    def on_message_complete(self) -> None:
        turn = self._turns[-1]
        turn.body.end()
        if turn.answered:
            self._finish(turn)

    # From the body

    def say_continue(self) -> None:
        if not self._is_gone:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def read_on(self, wanted: bool) -> None:
        """Read from the connection, or leave what comes where it is."""
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    # From the backend

    def close_when_idle(self) -> None:
        """End the connection, after the answers that are owed if there are any."""
        self._ending = True
        if not self._turns:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # The answer

    def _begin(self) -> None:
        """Answer the request whose turn it is, and each next one while that takes no waiting."""
        while self._turns and self._now is None and not self._is_gone:
            turn = self._now = self._turns[0]
            request, body = turn.request, turn.body
            if body.complete:
                request.whole = body.joined()
            else:
                body.expects = request.header("expect").lower() == "100-continue"
            try:
                answer = self._backend.handler(request)
            except Exception as error:  # noqa: BLE001 - the server's last edge, as in _answer
                answer = _failure(request, error)
            if isinstance(answer, Response) and isinstance(answer.body, bytes):
                self._send_whole(turn, answer, answer.body)
                self._answer_ended(turn)
            else:
                self._task = self.loop.create_task(self._answer(turn, answer))

    async def _answer(self, turn: _Turn, coming: Response | Awaitable[Response]) -> None:
        try:
            response = coming if isinstance(coming, Response) else await coming
        except ClientGone:
            self.abort()
            return
        except Exception as error:  # noqa: BLE001 - the server's last edge: what nobody foresaw is logged and said
            response = _failure(turn.request, error)
        if isinstance(response.body, bytes):
            self._send_whole(turn, response, response.body)
        elif not await self._send_stream(turn, response):
            self.abort()
            return
        self._answer_ended(turn)
        self._begin()

    def _send_whole(self, turn: _Turn, response: Response, body: bytes) -> None:
        frame = frame_of(response, len(body), self._closes(turn))
        turn.close = frame.close
        if self._is_gone:
            return
        if not body or not _has_body(turn.request, response):
            self._transport.write(frame.head)
        elif len(body) <= _ONE_WRITE:
            self._transport.write(frame.head + body)
        else:
            self._transport.writelines((frame.head, body))

    async def _send_stream(self, turn: _Turn, response: Response) -> bool:
        """Whether the response went out whole; half of one can only be ended with its connection."""
        stream: Any = response.body
        request = turn.request
        try:
            frame = frame_of(response, None, self._closes(turn))
            turn.close = frame.close
            if _has_body(request, response):
                return await self._pump(request, stream, frame)
            if not self._is_gone:
                self._transport.write(frame.head)
            return True
        except ClientGone:
            return False
        except Exception:  # noqa: BLE001 - the server's last edge, see _answer
            _log.exception("the answer to %s %s broke off", request.method, request.raw_path)
            return False
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()

    async def _pump(self, request: Request, stream: Any, frame: Frame) -> bool:
        """Send head and stream, no faster than the front takes them, until the end or until nobody is there."""
        held, sent = frame.head, 0
        async for data in stream:
            sent += len(data)
            if self._is_gone or (frame.length is not None and sent > frame.length):
                break
            self._transport.write(held + (data if frame.length is not None else chunk_of(data)))
            held = b""
            if self._blocked is not None:
                await self._blocked
        if self._is_gone:
            return False
        if frame.length is not None and sent != frame.length:
            _log.error("the answer to %s %s is not as long as stated", request.method, request.raw_path)
            return False
        last = held + (LAST_CHUNK if frame.length is None else b"")
        if last:
            self._transport.write(last)
        return True

    @property
    def _is_gone(self) -> bool:
        return self._transport.is_closing()

    def _closes(self, turn: _Turn) -> bool:
        return turn.close or self._ending or self._backend.is_closing

    def _answer_ended(self, turn: _Turn) -> None:
        """The answer has gone out. What is left of the request's body is nobody's; it is read all the same, for who
        still sends would lose the answer to a reset."""
        turn.answered = True
        if turn.body.complete:
            self._finish(turn)
        else:
            turn.body.refuse()

    def _finish(self, turn: _Turn) -> None:
        """Both request and answer are whole: the next request's turn comes."""
        self._turns.popleft()
        self._now = self._task = None
        if turn.close or (self._ending and not self._turns):
            self._transport.close()
        else:
            self.read_on(True)


def _request(method: str, target: bytes, raw: list[tuple[bytes, bytes]], body: _Body) -> Request:
    named = [(_name(name), value.decode("latin-1").strip(" \t")) for name, value in raw]
    # The front writes its own last, at most three of them, and lets none of its client's through; the last counts.
    own: dict[str, str] = {}
    while named and named[-1][0].startswith(_OWN):
        name, value = named.pop()
        own.setdefault(name[len(_OWN) :], value)
    return Request(
        method=method,
        target=target.decode("latin-1"),
        headers=tuple(named),
        chunks=body,
        peer=own.get("peer", ""),
        scheme=own.get("scheme", "http"),
        from_job=own.get("job") == "1",
    )


@lru_cache(maxsize=512)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def _has_body(request: Request, response: Response) -> bool:
    return request.method != "HEAD" and response.status not in (204, 304)


def _failure(request: Request, error: Exception) -> Response:
    if isinstance(error, BodyTooLarge):
        return _plain(413, str(error))
    _log.error("%s %s failed", request.method, request.raw_path, exc_info=error)
    return _plain(500, "an unexpected error; the server's log says more")


def _plain(status: int, message: str) -> Response:
    return Response(status, (("content-type", "text/plain; charset=utf-8"),), f"{message}\n".encode())
