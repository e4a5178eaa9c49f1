"""A client's connection: requests out of its bytes, their answers in the same order, its times and its end.

Held to RFC 9112: pipelining, keep-alive, HEAD, HTTP/1.0, Expect; what cannot be read ends the connection. Knows
an ``Exchange`` only by its calls. Refuses to know where answers come from.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Protocol

import httptools

from modelyard.base.clock import Clock
from modelyard.core.deployments.ports import Refusal, WireAnswer
from modelyard.edge.heads import Head, answer_bytes
from modelyard.edge.limits import FrontLimits

_log = logging.getLogger(__name__)

PIPELINE = 32
"""Unanswered requests of one connection past which nothing more is read from it."""
HELD = 256 * 1024
"""Bytes of bodies that wait for their turn past which nothing more is read from the connection."""
LINGER = 5.0
"""Seconds for which what a client still sends is thrown away after its last answer, so that it can read that."""


class Exchange:
    """One request and its answer. The connection calls ``begin`` when it is the request's turn to be answered,
    at the earliest after the bytes that held its head have been read whole."""

    def __init__(self, client: ClientConnection, head: Head) -> None:
        self.client = client
        self.head = head
        self.begun = False
        self.complete = False
        """Whether the request's body has been read to its end."""
        self.written = False
        """Whether a part of the answer has gone out."""
        self.wants_continue = False
        """Whether a client that expects 100 Continue shall be told to send its body."""

    @property
    def held(self) -> int:
        """Bytes of the body that wait for their turn."""
        return 0

    def begin(self) -> None:
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """A piece of the request's body."""

    def end(self) -> None:
        """The request's body is whole."""

    def lost(self) -> None:
        """The client has gone; nothing more can be answered."""

    def write_blocked(self, blocked: bool) -> None:
        """The client does not take what was written, or does again."""


class Immediate(Exchange):
    """An answer that is known already; the request's body is thrown away."""

    def __init__(self, client: ClientConnection, head: Head, answer: WireAnswer, close: bool = False) -> None:
        super().__init__(client, head)
        self.answer = answer
        self.close = close

    def begin(self) -> None:
        close = self.close or not self.complete or not self.head.keep_alive or self.head.is_upgrade
        self.client.transport.write(answer_bytes(self.answer, self.head, close))
        self.client.finish(self, close)


class Lobby(Protocol):
    """What a connection needs of the front around it."""

    clock: Clock

    @property
    def limits(self) -> FrontLimits: ...

    def arrived(self, client: ClientConnection) -> bool:
        """Whether there is room for one more connection."""
        ...

    def left(self, client: ClientConnection) -> None: ...

    def open(self, client: ClientConnection, head: Head) -> Exchange: ...

    def refuse(self, head: Head | None, refusal: Refusal) -> WireAnswer: ...


class ClientConnection(asyncio.Protocol):
    """An asyncio protocol; one for each TCP connection."""

    def __init__(self, lobby: Lobby) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.peer: tuple[str, int] = ("", 0)
        self.own: tuple[str, int] = ("", 0)
        self.scheme = "http"
        self.from_job: bool | None = None
        """Whether a job of ours sent what comes in here; None while nobody has asked."""
        self.tunnel: Any = None
        """Who takes every byte once the protocol was switched."""
        self._lobby = lobby
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._resuming = False
        self._head_size = 0
        self._feeding = 0
        self._span = 0
        """Bytes from the beginning of the read in which the head began: it is no longer. Once the head is whole,
        those that were read and held nothing of the body."""
        self._advancing = False
        self._closing_since: float | None = None
        self._lingering = False
        self._blocked_since: float | None = None
        self._pauses: set[str] = set()
        self._answered = 0
        self.last_read = self.last_done = self._head_began = lobby.clock.monotonic()

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        self.peer = (transport.get_extra_info("peername") or ("", 0))[:2]
        self.own = (transport.get_extra_info("sockname") or ("", 0))[:2]
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        self.transport.set_write_buffer_limits(high=512 * 1024)
        if not self._lobby.arrived(self):
            refusal = Refusal("too_many_connections", "the server has as many connections as it takes; try again")
            self._last_words(None, refusal)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._closing_since = self._closing_since or self._lobby.clock.monotonic()
        self._lobby.left(self)
        if self.tunnel is not None:
            self.tunnel.client_lost()
        for exchange in self._exchanges:
            exchange.lost()
        self._exchanges.clear()
        self._current = None

    def eof_received(self) -> bool:
        """A client may end its side after its last request and still read the answer."""
        if self.tunnel is not None or self._in_head or self._current is not None or not self._exchanges:
            return False
        self._exchanges[-1].head.keep_alive = False
        return True

    def pause_writing(self) -> None:
        self._blocked_since = self._lobby.clock.monotonic()
        self._write_blocked(True)

    def resume_writing(self) -> None:
        self._blocked_since = None
        self._write_blocked(False)

    def data_received(self, data: bytes) -> None:
        self.last_read = self._lobby.clock.monotonic()
        if self.tunnel is not None:
            self.tunnel.from_client(data)
            return
        if self._closing_since is not None:
            return
        alone = self._current is None and not self._in_head
        self._feeding = len(data)
        self._span += self._feeding
        self._parse(data)
        if self._closing_since is not None:
            return
        if self._in_head:
            self._head_size += len(data) if alone or self._head_size else 1
            if self._head_size > self._lobby.limits.request_head:
                self._too_large()
        elif self._current is not None and self._span > self._lobby.limits.request_head:
            self._malformed("the framing or the trailers of the request's body are larger than this server takes")
        self._advance()
        self.balance()

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._wait_for_tunnel(data):
                    return
                data = self._ignore_upgrade() + data
                if data:
                    continue
            except httptools.HttpParserCallbackError:
                _log.exception("a request from %s could not be taken", self.peer[0])
                self.transport.abort()
            except httptools.HttpParserError as error:
                self._malformed(f"the request is not well-formed HTTP: {error}")
            return

    def _wait_for_tunnel(self, data: bytes) -> bool:
        """Whether the last request opens a tunnel if the server agrees; what follows it waits for that."""
        last = self._exchanges[-1] if self._exchanges else None
        if last is None or not last.head.is_upgrade:
            return False
        if data:
            last.feed(data)
        self._pause("upgrade", True)
        return True

    def _ignore_upgrade(self) -> bytes:
        """Go on after a request that asked for a protocol we do not know. The parser took its body for that
        protocol's: a head that states the same framing, unheard, makes the next parser read it as a body."""
        self._parser = httptools.HttpRequestParser(self)
        if self._current is None:
            return b""
        head = self._current.head
        self._resuming = True
        self._url, self._headers = b"", []
        framing = b"transfer-encoding: chunked" if head.is_chunked else b"content-length: %d" % head.length
        return b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n"

    # From the parser

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        self._url = b""
        self._headers = []
        self._in_head = True
        self._head_size = 0
        self._span = self._feeding
        if self._answered or self._exchanges:
            self._head_began = self.last_read

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers come here too, after all that a head is held to: none goes any further
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._resuming:
            self._resuming = False
            return
        self._in_head = False
        self._head_size = 0
        if self._closing_since is not None:
            return
        parser = self._parser
        version = parser.get_http_version()
        head = Head(parser.get_method().decode(), self._url, self._headers, version, self.scheme)
        wrong = head.wrong(version)
        if wrong is not None:
            exchange: Exchange = Immediate(self, head, self._lobby.refuse(head, wrong), close=True)
        elif self._span > self._lobby.limits.request_head and head.size > self._lobby.limits.request_head:
            exchange = Immediate(self, head, self._lobby.refuse(head, _TOO_LARGE), close=True)
        else:
            exchange = self._lobby.open(self, head)
        self._span = 0
        self._current = exchange
        self._exchanges.append(exchange)

    def on_body(self, data: bytes) -> None:
        self._span = 0
        if self._current is not None:
            self._current.feed(data)

    def on_message_complete(self) -> None:
        exchange = self._current
        if exchange is not None and exchange.head.has_body and self._parser.should_upgrade():
            return  # its body is still to come, see _ignore_upgrade
        self._current = None
        if exchange is not None:
            exchange.complete = True
            exchange.end()

    # From exchanges

    def finish(self, exchange: Exchange, close: bool) -> None:
        """The exchange whose turn it is has been answered; the next one's turn comes, or the end."""
        if not self._exchanges or self._exchanges[0] is not exchange:
            return
        self._exchanges.popleft()
        self._answered += 1
        self.last_done = self._lobby.clock.monotonic()
        if close or not exchange.complete:
            self._close(read_on=not exchange.complete)
            return
        if not self._advancing:
            self._advance()
            self.balance()

    def open_tunnel(self, tunnel: Any) -> None:
        """From now on every byte goes to ``tunnel.from_client``."""
        self.tunnel = tunnel
        self._exchanges.clear()
        self._pause("upgrade", False)

    def pause_reading(self, paused: bool) -> None:
        """Stop reading, or read on, because of whoever takes the body of the request."""
        self._pause("body", paused)

    def end_now(self) -> None:
        """Close once everything written has been taken; nothing more is read."""
        self._closing_since = self._closing_since or self._lobby.clock.monotonic()
        self.transport.close()

    @property
    def is_idle(self) -> bool:
        return not self._exchanges and not self._in_head and self.tunnel is None

    def check_times(self, now: float, limits: FrontLimits) -> None:
        """Close the connection when it has waited for its client too long."""
        if self.tunnel is not None:
            return
        if self._closing_since is not None:
            if now - self._closing_since > (LINGER if self._lingering else limits.keepalive_timeout):
                self.transport.abort()
        elif self._blocked_since is not None:
            if now - self._blocked_since > limits.keepalive_timeout:
                self.transport.abort()
        elif self._in_head or not (self._answered or self._exchanges):
            if now - self._head_began > limits.head_timeout:
                self.end_now()
        elif self._current is not None:
            if not self._pauses and now - self.last_read > limits.body_idle_timeout:
                self.transport.abort()
        elif not self._exchanges and now - self.last_done > limits.keepalive_timeout:
            self.end_now()

    # Within

    def _advance(self) -> None:
        """Begin the exchange whose turn it is, and each next one while they are answered at once."""
        self._advancing = True
        try:
            while self._exchanges and not self._exchanges[0].begun and self._closing_since is None:
                exchange = self._exchanges[0]
                exchange.begun = True
                exchange.begin()
        finally:
            self._advancing = False
        current = self._current
        if current is not None and current.wants_continue and current.begun:
            current.wants_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def balance(self) -> None:
        """Read no further while too much waits for its turn."""
        waiting = len(self._exchanges)
        if not waiting and not self._pauses:
            return
        full = waiting > PIPELINE or (waiting > 0 and sum([e.held for e in self._exchanges]) > HELD)
        self._pause("turn", full)

    def _pause(self, why: str, paused: bool) -> None:
        had = bool(self._pauses)
        (self._pauses.add if paused else self._pauses.discard)(why)
        if bool(self._pauses) == had or self.transport.is_closing():
            return
        if had:
            self.last_read = self._lobby.clock.monotonic()
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _write_blocked(self, blocked: bool) -> None:
        if self.tunnel is not None:
            self.tunnel.client_blocked(blocked)
        elif self._exchanges:
            self._exchanges[0].write_blocked(blocked)

    def _malformed(self, message: str) -> None:
        """Answer what came before in its order, then say what is wrong and close."""
        self._in_head = False
        broken, self._current = self._current, None
        if broken is not None:
            broken.lost()
            self._exchanges.remove(broken)
            if broken.written:
                self.transport.abort()
                return
        head = Head("GET", b"/", [], "1.1", self.scheme)
        answer = self._lobby.refuse(None, Refusal("bad_request", message))
        self._exchanges.append(Immediate(self, head, answer, close=True))
        self._pause("broken", True)

    def _too_large(self) -> None:
        self._in_head = False
        self._last_words(Head("POST", self._url or b"/", self._headers, "1.1", self.scheme), _TOO_LARGE)

    def _last_words(self, head: Head | None, refusal: Refusal) -> None:
        if not self._exchanges:
            self.transport.write(answer_bytes(self._lobby.refuse(head, refusal), head, True))
        self._close(read_on=True)

    def _close(self, read_on: bool) -> None:
        """End the connection. A client that still sends would lose the answer to a reset: what it sends is read
        and thrown away for a while first."""
        self._closing_since = self._lobby.clock.monotonic()
        for exchange in self._exchanges:
            exchange.lost()
        self._exchanges.clear()
        self._current = None
        if not read_on or self.transport.is_closing():
            self.transport.close()
            return
        self._lingering = True
        for why in tuple(self._pauses):
            self._pause(why, False)
        if self.transport.can_write_eof():
            self.transport.write_eof()


_TOO_LARGE = Refusal("head_too_large", "the request's head is larger than this server takes")
