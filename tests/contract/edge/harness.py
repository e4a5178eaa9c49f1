"""A front in a thread of its own, a server behind it, endpoint workers, and raw connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from modelyard.base.clock import SystemClock
from modelyard.base.disk import listen_unix
from modelyard.core.deployments.ports import Route, VariantRoute
from modelyard.core.identity.model import Credential
from modelyard.dialects.sagemaker.invoke import SageMakerCodec
from modelyard.edge.backend import Backend, Handler
from modelyard.edge.front import Front, Listening
from modelyard.edge.state import FrontState
from modelyard.serving import wire

KEY = Credential("AKIAEXAMPLE", "secret", "AKIAEXAMPLE")


EMPTY = FrontState()


class LoopThread:
    """An event loop in a thread; ``call`` runs a coroutine or function in it and waits."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, made: Any, *args: Any) -> Any:
        async def run() -> Any:
            result = made(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


class RunningFront:
    """A front on a free port, its server's socket at ``run / 'server.sock'``."""

    def __init__(self, run: Path, clock: Any = None, state: FrontState | None = EMPTY, listening=None) -> None:
        self.run = run
        self.clock = clock or SystemClock()
        self.hung: list[tuple[str, str]] = []
        self.thread = LoopThread()
        codecs = (SageMakerCodec("000000000000", "us-east-1"),)
        self.front = Front(run / "server.sock", codecs, self.clock, lambda *told: self.hung.append(told))
        _, self.port = self.thread.call(self.front.listen, listening or Listening(port=0))
        if state is not None:
            self.take(state)

    def take(self, state: FrontState) -> None:
        self.thread.call(self.front.take, state)

    def check_times(self) -> None:
        self.thread.call(self.front.check_times)

    def connect(self) -> Raw:
        return Raw(socket.create_connection(("127.0.0.1", self.port), 20))

    def ask(self, data: bytes, method: str = "GET") -> Answered:
        """One request over a connection of its own."""
        with self.connect() as raw:
            raw.send(data)
            return raw.read(method)

    def close(self) -> None:
        self.thread.call(self.front.close, 0.0)
        self.thread.close()


class Answered:
    """A response as read from the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body


class Raw:
    """A client's connection, byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.held = b""
        sock.settimeout(20)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self.held:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.held)
            self.held += data
        head, _, self.held = self.held.partition(b"\r\n\r\n")
        return head

    def read(self, method: str = "GET") -> Answered:
        """The next response with its body."""
        answered = Answered(self.read_head(), b"")
        if method == "HEAD" or answered.status in (204, 304) or answered.status < 200:
            return answered
        if answered.headers.get("transfer-encoding") == "chunked":
            while size := int(self._line().partition(b";")[0], 16):
                answered.body += self._take(size)
                self._take(2)
            while self._line():
                pass
        elif "content-length" in answered.headers:
            answered.body = self._take(int(answered.headers["content-length"]))
        else:
            answered.body = self.rest()
        return answered

    def rest(self) -> bytes:
        """All that comes until the other side ends."""
        data, self.held = self.held, b""
        while piece := self.sock.recv(65536):
            data += piece
        return data

    def is_closed(self, timeout: float = 5) -> bool:
        """Whether the other side ends the connection without another byte."""
        self.sock.settimeout(timeout)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _line(self) -> bytes:
        while b"\r\n" not in self.held:
            self.held += self.sock.recv(65536)
        line, _, self.held = self.held.partition(b"\r\n")
        return line

    def _take(self, size: int) -> bytes:
        taken = bytearray(self.held[:size])
        self.held = self.held[size:]
        while len(taken) < size:
            data = self.sock.recv(min(1 << 20, size - len(taken)))
            if not data:
                raise EOFError
            taken += data
        return bytes(taken)


class Server:
    """The server's own HTTP on a Unix socket in a thread, with the handler that a test gives it."""

    def __init__(self, handler: Handler, path: Path) -> None:
        self._thread = LoopThread()
        self._backend = Backend(handler)
        self._thread.call(self._backend.listen, listen_unix(path))

    def close(self) -> None:
        self._thread.call(self._backend.close, 1.0)
        self._thread.close()


class Worker:
    """An endpoint worker in a thread. ``frames`` holds the payloads of each frame that it was given."""

    def __init__(self, path: Path, handle: Callable[[wire.Ask], wire.Reply] | None = None) -> None:
        self.path = path
        self.frames: list[list[bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._handle = handle or (lambda ask: wire.Reply(200, ask.payload[::-1], {"content-type": "text/plain"}))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def route(self, name: str = "A", weight: float = 1.0) -> VariantRoute:
        return VariantRoute(name, weight, (str(self.path),))

    def close(self) -> None:
        self.gate.set()
        os.write(self._stop_write, b"x")
        self._thread.join(5)
        self._listener.close()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _run(self) -> None:
        with contextlib.suppress(SystemExit):
            wire.serve(self._listener, self._answer, self._stop_read)

    def _answer(self, asks: Sequence[wire.Ask]) -> list[wire.Reply]:
        self.frames.append([ask.payload for ask in asks])
        self.gate.wait(30)
        return [self._handle(ask) for ask in asks]


def routed(*variants: VariantRoute, endpoint: str = "iris", **more: Any) -> FrontState:
    """A state with one endpoint and one key."""
    return FrontState(routes=(Route(endpoint, f"id-{endpoint}", variants),), credentials=(KEY,), **more)


def until(true: Callable[[], object], timeout: float = 10) -> None:
    """Wait for another thread or process."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)
