"""``GET /health``: whether the server behind the front answers, asked over a connection to it.

Owns the question and its two answers. Refuses to know what a healthy server has done to be so.
"""

from __future__ import annotations

import asyncio

from modelyard.core.deployments.ports import WireAnswer
from modelyard.edge.client import ClientConnection, Exchange
from modelyard.edge.heads import Head, answer_bytes
from modelyard.edge.relay import ServerConnection, ServerLink
from modelyard.edge.responses import ResponseHead

_TEXT = (("content-type", "text/plain; charset=utf-8"),)
_WELL = WireAnswer(200, _TEXT, b"ok\n")
_AWAY = WireAnswer(503, (*_TEXT, ("retry-after", "1")), b"the server is starting or restarting\n")


class Health(Exchange):
    """Answers 200 when the server has answered anything but a 5xx, else 503. ``is_ready``: the front can too."""

    def __init__(self, client: ClientConnection, head: Head, link: ServerLink, is_ready: bool) -> None:
        super().__init__(client, head)
        self.method = "GET"
        self._link = link
        self._is_ready = is_ready
        self._server: ServerConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._status = 0

    def begin(self) -> None:
        if self._is_ready:
            self._task = asyncio.ensure_future(self._ask())
        else:
            self._say(False)

    async def _ask(self) -> None:
        try:
            server = self._link.take() or await self._link.connect()
        except OSError:
            self._say(False)
            return
        finally:
            self._task = None
        self._server = server
        server.user = _Probe(self)
        server.transport.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")

    def lost(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            self._server.user = None
            self._server.transport.abort()

    def heard(self, status: int) -> None:
        """What the server said; 0 when it broke off."""
        self._server = None
        self._say(0 < status < 500)

    def _say(self, well: bool) -> None:
        close = not self.complete or not self.head.keep_alive
        self.client.transport.write(answer_bytes(_WELL if well else _AWAY, self.head, close))
        self.client.finish(self, close)


class _Probe:
    """The request that asks the server."""

    method = "GET"
    complete = True

    def __init__(self, health: Health) -> None:
        self._health = health
        self._status = 0

    def on_head(self, head: ResponseHead) -> None:
        self._status = head.status

    def on_interim(self, raw: bytes) -> None:
        """Of no interest."""

    def on_data(self, data: bytes, payload: list[bytes] | None) -> None:
        """Of no interest."""

    def flush(self) -> None:
        """Nothing is kept."""

    def on_end(self) -> None:
        self._health.heard(self._status)

    def on_broken(self) -> None:
        self._health.heard(0)

    def server_blocked(self, blocked: bool) -> None:
        """A probe is too small for that."""
