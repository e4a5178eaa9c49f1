from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.edge.http import Request, Response

from .harness import RunningFront, Server


async def echo(request: Request) -> Response:
    """Says what reached it: the target, the headers, how long the body was, what the front says of the sender."""
    length = 0
    async for chunk in request.chunks:
        length += len(chunk)
    lines = [f"{request.method} {request.target} {length}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    lines += [f"peer: {request.peer}", f"scheme: {request.scheme}", f"job: {request.from_job}"]
    return Response(200, (), "\n".join(lines).encode())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def front(run: Path) -> Iterator[RunningFront]:
    running = RunningFront(run)
    yield running
    running.close()


@pytest.fixture
def server(run: Path) -> Iterator[Server]:
    serving = Server(echo, run / "server.sock")
    yield serving
    serving.close()
