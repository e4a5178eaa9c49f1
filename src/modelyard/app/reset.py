"""``POST /_modelyard/reset`` of an ephemeral server: everything but the keys is stopped and deleted.

Owns who may ask for it, and that one reset ends before the next begins. Refuses to know how: that is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from modelyard.edge import sigv4
from modelyard.edge.claims import SignatureRefused
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
        if request.from_job:
            return Response(403, (), b"a job may not reset the server\n")
        if _states_a_signature(request):
            return Response(400, (), b"reset takes no signature\n")
        async with self._turn:
            await self._reset()
        return Response(200, (("content-type", "application/json"),), b'{"reset":true}')


def _states_a_signature(request: Request) -> bool:
    """Who sent such a request the front leaves to whoever verifies it, and here nobody does."""
    try:
        headers = {name: request.header(name) for name, _ in request.headers}
        return sigv4.parse(request.raw_query, headers) is not None
    except SignatureRefused:
        return True
