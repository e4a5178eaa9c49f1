"""``POST /_modelyard/reset`` of an ephemeral server: everything but the keys is stopped and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from modelyard.edge.http import Request, Response

PATH = "/_modelyard/reset"


class ResetDoor:
    """Answers 200 when all is done; resets that come together take turns. ``anonymous``: whether this server answers
    unsigned calls, which is all that this door takes."""

    def __init__(self, reset: Callable[[], Awaitable[None]], anonymous: bool) -> None:
        self._reset = reset
        self._anonymous = anonymous
        self._turn = asyncio.Lock()

    def claims(self, request: Request) -> bool:
        return request.raw_path == PATH

    async def handle(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(405, (("allow", "POST"),), b"reset takes POST\n")
        if not self._anonymous:
            return Response(403, (), b"beside loopback only --anonymous lets anybody reset the server\n")
        # The front looks up who sent a request only when it carries no credential: one that does could be a job's.
        if request.header("authorization") or request.raw_query:
            return Response(400, (), b"reset takes neither credentials nor a query\n")
        if request.from_job:
            return Response(403, (), b"a job may not reset the server\n")
        async with self._turn:
            await self._reset()
        return Response(200, (("content-type", "application/json"),), b'{"reset":true}')
