"""The server's side of the Unix socket: one ASGI application that hands each request to the dialect that claims it.

Owns the order of the doors and what is answered when none claims a request. Refuses to know any dialect's
wire. The front in front of it owns the port, limits and hosts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from modelyard.edge.http import (
    BodyTooLarge,
    ClientGone,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    request_from,
    send_response,
)

_log = logging.getLogger(__name__)


class Door(Protocol):
    """A dialect as the server sees it."""

    def claims(self, request: Request) -> bool: ...

    async def handle(self, request: Request) -> Response: ...


class Doors:
    """An ASGI 3 application over doors; the first that claims a request gets it."""

    def __init__(self, doors: Sequence[Door]) -> None:
        self.doors = tuple(doors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = request_from(scope, receive)
        try:
            response = await self._answer(request)
        except ClientGone:
            return
        await send_response(response, send)

    async def _answer(self, request: Request) -> Response:
        for door in self.doors:
            if door.claims(request):
                try:
                    return await door.handle(request)
                except BodyTooLarge as error:
                    return _plain(413, str(error))
                except ClientGone:
                    raise
                except Exception:  # noqa: BLE001 - a door's last edge: what it did not foresee is logged and said
                    _log.exception("%s %s failed", request.method, request.raw_path)
                    return _plain(500, "an unexpected error; the server's log says more")
        return _plain(404, f"nothing answers {request.method} {request.raw_path}")


def _plain(status: int, message: str) -> Response:
    return Response(status, (("content-type", "text/plain; charset=utf-8"),), f"{message}\n".encode())
