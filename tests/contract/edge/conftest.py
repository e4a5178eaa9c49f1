from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import AsgiServer, RunningFront


async def echo(scope, receive, send):
    """Says what reached it: the target, the headers, how long the body was."""
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    lines = [f"{scope['method']} {target.decode()} {length}"]
    lines += [f"{name.decode()}: {value.decode('latin-1')}" for name, value in scope["headers"]]
    body = "\n".join(lines).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def front(run: Path) -> Iterator[RunningFront]:
    running = RunningFront(run)
    yield running
    running.close()


@pytest.fixture
def server(run: Path) -> Iterator[AsgiServer]:
    serving = AsgiServer(echo, run / "server.sock")
    yield serving
    serving.close()
