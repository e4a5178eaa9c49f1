"""The server's side of the Unix socket: each request goes to the dialect that claims it.

Owns the order of the doors and what is answered when none claims a request. Refuses to know any dialect's
wire. The front in front of it owns the port, limits and hosts; edge/backend.py the connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from modelyard.dialects.plugin import Door
from modelyard.edge.http import Request, Response


class Doors:
    """The handler over doors; the first that claims a request gets it."""

    def __init__(self, doors: Sequence[Door]) -> None:
        self.doors = tuple(doors)

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        for door in self.doors:
            if door.claims(request):
                return door.handle(request)
        message = f"nothing answers {request.method} {request.raw_path}\n"
        return Response(404, (("content-type", "text/plain; charset=utf-8"),), message.encode("utf-8", "replace"))
