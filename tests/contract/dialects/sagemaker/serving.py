"""A dispatcher behind a real TCP server of this process, for real clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from modelyard.base.clock import SystemClock
from modelyard.base.ids import RandomIds
from modelyard.dialects.aws.protocol import AwsService
from modelyard.dialects.aws.protocol.dispatch import AwsDispatcher
from modelyard.edge.claims import Lookup
from modelyard.edge.http import Receive, Scope, Send, request_from, send_response
from modelyard.testing.server import free_port


@dataclass(frozen=True, slots=True)
class Served:
    """Where the door listens."""

    url: str


@contextmanager
def serve(services: Sequence[AwsService], lookup: Lookup, account: str) -> Iterator[Served]:
    """The dispatcher of these services until the block ends."""
    with ThreadPoolExecutor(4) as executor:
        dispatcher = AwsDispatcher(services, lookup, SystemClock(), RandomIds(), account, executor)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await send_response(await dispatcher.handle(request_from(scope, receive)), send)

        port = free_port()
        config = uvicorn.Config(app, port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.01)
        try:
            yield Served(f"http://127.0.0.1:{port}")
        finally:
            server.should_exit = True
            thread.join(20)
