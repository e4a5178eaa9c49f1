"""A handler behind a real TCP port, in a loop of its own thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from modelyard.edge.backend import Backend, Handler


@contextmanager
def answering(handler: Handler) -> Iterator[int]:
    """The port on which ``handler`` answers until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    backend = Backend(handler)
    asyncio.run_coroutine_threadsafe(backend.listen(listener), loop).result(10)
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(backend.close(1.0), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
