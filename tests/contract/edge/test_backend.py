"""The server's own HTTP, byte by byte: framing, backpressure both ways, and clients that go."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelyard.base.disk import connect_unix, listen_unix
from modelyard.edge.backend import WAITING, Backend
from modelyard.edge.http import BodyTooLarge, ClientGone, Request, Response

from .harness import LoopThread, Raw, until


class World:
    """A backend whose handler is ``App``, and what that saw."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.app = App()
        self.thread = LoopThread()
        self.backend = Backend(self.app)
        self.thread.call(self.backend.listen, listen_unix(path))

    def connect(self) -> Raw:
        return Raw(connect_unix(self.path))

    def close(self) -> None:
        self.app.gate.set()
        self.thread.call(self.backend.close, 1.0)
        self.thread.close()


class App:
    """Answers by path; tells tests what became of its streams."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.gone = threading.Event()
        self.ended = threading.Event()
        self.sent = 0
        self.gate = threading.Event()
        self.wholes: list[bytes | None] = []

    def __call__(self, request: Request) -> object:
        self.wholes.append(request.whole)
        return getattr(self, request.path[1:])(request)

    def now(self, request: Request) -> Response:
        facts = f"{request.method} {request.target} {request.peer} {request.scheme} {request.from_job}"
        return Response(200, (("x-facts", facts),), request.whole or b"")

    async def echo(self, request: Request) -> Response:
        body = b""
        try:
            async for chunk in request.chunks:
                body += chunk
        except ClientGone:
            self.gone.set()
            raise
        return Response(200, (), body)

    async def slow(self, request: Request) -> Response:
        await asyncio.to_thread(self.gate.wait, 10)
        size = 0
        async for chunk in request.chunks:
            size += len(chunk)
        return Response(200, (), str(size).encode())

    def stream(self, request: Request) -> Response:
        length = request.header("x-length")
        return Response(200, (("content-length", length),) if length else (), self._pieces())

    def lingers(self, request: Request) -> Response:
        return Response(200, (("content-length", "6"),), self._lingers())

    async def _lingers(self) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        await asyncio.to_thread(self.gate.wait, 10)

    async def _pieces(self) -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            await asyncio.sleep(0)
            yield piece

    def lingering(self, request: Request) -> Response:
        return Response(200, (("content-length", "3"),), self._lingering())

    async def _lingering(self) -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.to_thread(self.gate.wait, 10)

    def endless(self, request: Request) -> Response:
        return Response(200, (), self._endless())

    async def _endless(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.sent += 1 << 16
                yield b"x" * (1 << 16)
        finally:
            self.ended.set()

    def refuse(self, request: Request) -> Response:
        return Response(403, (), b"no")

    def empty(self, request: Request) -> Response:
        return Response(204)

    def known(self, request: Request) -> Response:
        length = request.header("x-length")
        return Response(304, (("content-length", length),) if length else ())

    def split(self, request: Request) -> Response:
        return Response(200, (("x-name", "a\r\nx-evil: 1"), ("x-other", "caf\xe9 \u2603")))

    def fails(self, request: Request) -> Response:
        raise RuntimeError("unforeseen")

    async def fails_later(self, request: Request) -> Response:
        raise RuntimeError("unforeseen")

    async def limited(self, request: Request) -> Response:
        raise BodyTooLarge(7)

    def breaks(self, request: Request) -> Response:
        return Response(200, (), self._breaks())

    async def _breaks(self) -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("unforeseen")

    def closing(self, request: Request) -> Response:
        return Response(200, (("Connection", "close"),), b"bye")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "s")
    yield made
    made.close()


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} /{path} HTTP/1.1", "host: x", *headers, "", "")).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    return get(path, f"content-length: {len(body)}", *headers, method="POST") + body


CHUNKED = "transfer-encoding: chunked"


def test_a_connection_answers_one_request_after_the_other(world: World):
    with world.connect() as raw:
        for body in (b"a", b"", b"b" * 3000):
            raw.send(post("now?q=1", body, "x-modelyard-front-peer: 1.2.3.4", "X-Modelyard-Front-Job: 1"))
            answer = raw.read()
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["x-facts"] == "POST /now?q=1 1.2.3.4 http True"
            assert answer.headers["date"].endswith(" GMT")
    assert world.app.wholes == [b"a", b"", b"b" * 3000]


def test_the_next_request_may_come_before_a_stream_that_is_whole_has_ended(world: World):
    """As its length is known, the front may have it all while the file behind it is still being closed."""
    with world.connect() as raw:
        raw.send(b"GET /lingering HTTP/1.1\r\n\r\n")
        assert raw.read().body == b"one"
        raw.send(b"POST /echo HTTP/1.1\r\ncontent-length: 4\r\n\r\n")
        raw.send(b"body")
        world.app.gate.set()
        assert raw.read().body == b"body"
        raw.send(b"GET /now HTTP/1.1\r\n\r\n")
        assert raw.read().status == 200


def test_what_the_front_says_of_its_client_is_said_last(world: World):
    with world.connect() as raw:
        raw.send(
            get("now", *(f"x-modelyard-front-{said}" for said in ("peer: 6.6.6.6", "job: 0", "peer: ::1", "job: 1")))
        )
        assert raw.read().headers["x-facts"] == "GET /now ::1 http True"


def test_a_request_may_come_in_pieces(world: World):
    whole = get("echo", CHUNKED, method="POST") + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    with world.connect() as raw:
        for at in range(len(whole)):
            raw.send(whole[at : at + 1])
        assert raw.read().body == b"abcdefg"
        raw.send(whole)
        assert raw.read().body == b"abcdefg"


def test_streams_are_chunked_or_as_long_as_stated(world: World):
    with world.connect() as raw:
        for headers in ((), ("x-length: 6",)):
            raw.send(get("stream", *headers))
            answer = raw.read()
            assert answer.body == b"onetwo"
            assert ("content-length" in answer.headers) == bool(headers)


@pytest.mark.parametrize("length", [5, 7])
def test_a_stream_of_another_length_than_stated_ends_the_connection(world: World, length: int):
    with world.connect() as raw:
        raw.send(get("stream", f"x-length: {length}"))
        with pytest.raises((EOFError, ConnectionResetError)):
            while raw.read().body != b"onetwo":
                pass


@pytest.mark.parametrize("path", ["now", "stream", "endless"])
def test_head_has_no_body(world: World, path: str):
    with world.connect() as raw:
        raw.send(get(path, method="HEAD"))
        assert raw.read("HEAD").status == 200
        raw.send(get("now"))
        assert raw.read().status == 200


def test_no_content_has_no_length(world: World):
    with world.connect() as raw:
        raw.send(get("empty"))
        assert "content-length" not in raw.read().headers
        raw.send(get("now"))
        assert raw.read().status == 200


def test_what_has_not_changed_has_the_length_that_is_stated_or_none(world: World):
    with world.connect() as raw:
        raw.send(get("known"))
        assert "content-length" not in raw.read().headers
        raw.send(get("known", "x-length: 7"))
        assert raw.read().headers["content-length"] == "7"
        raw.send(get("now"))
        assert raw.read().status == 200


def test_a_header_cannot_end_its_line(world: World):
    with world.connect() as raw:
        raw.send(get("split"))
        headers = raw.read().headers
        assert "x-evil" not in headers
        assert headers["x-other"] == "caf\xe9 ?"


@pytest.mark.parametrize(("path", "status"), [("fails", 500), ("fails_later", 500), ("limited", 413)])
def test_a_handler_that_fails_is_answered_for(world: World, path: str, status: int):
    with world.connect() as raw:
        raw.send(get(path))
        assert raw.read().status == status
        raw.send(get("now"))
        assert raw.read().status == 200


def test_a_stream_that_breaks_ends_the_connection_without_its_last_chunk(world: World):
    with world.connect() as raw:
        raw.send(get("breaks"))
        with pytest.raises((EOFError, ConnectionResetError)):
            raw.read_head()
            if not raw.rest().endswith(b"0\r\n\r\n"):
                raise EOFError


def test_a_stream_waits_for_who_reads_it_and_ends_when_nobody_does(world: World):
    with world.connect() as raw:
        raw.send(get("endless"))
        raw.read_head()
        seen = -1
        while world.app.sent != seen:
            seen = world.app.sent
            world.app.ended.wait(0.1)
        assert seen < 8 << 20
    assert world.app.ended.wait(5)


def test_a_body_waits_for_who_takes_it(world: World):
    size = 64 << 20
    with world.connect() as raw:
        raw.send(get("slow", f"content-length: {size}", method="POST"))
        raw.sock.setblocking(False)
        sent = 0
        for _ in range(20):
            try:
                while sent < size:
                    sent += raw.sock.send(b"x" * min(1 << 16, size - sent))
            except BlockingIOError:
                world.app.ended.wait(0.02)
        assert sent < WAITING + (4 << 20)
        raw.sock.settimeout(20)
        world.app.gate.set()
        while sent < size:
            sent += raw.sock.send(b"x" * min(1 << 16, size - sent))
        assert raw.read().body == str(size).encode()


def test_a_client_that_goes_before_its_body_is_whole(world: World):
    with world.connect() as raw:
        raw.send(get("echo", "content-length: 10", method="POST") + b"12345")
        until(lambda: world.app.wholes)
    assert world.app.gone.wait(5)


def test_a_client_that_expects_it_is_told_to_send_its_body(world: World):
    with world.connect() as raw:
        raw.send(get("echo", "content-length: 3", "expect: 100-continue", method="POST"))
        assert raw.read_head() == b"HTTP/1.1 100 Continue"
        raw.send(b"abc")
        assert raw.read().body == b"abc"


def test_the_body_of_a_refused_request_is_thrown_away(world: World):
    with world.connect() as raw:
        raw.send(get("refuse", f"content-length: {1 << 20}", method="POST"))
        assert raw.read().status == 403
        raw.send(b"x" * (1 << 20) + get("now"))
        assert raw.read().status == 200


@pytest.mark.parametrize("request_", [get("closing"), get("now", "connection: close")])
def test_a_connection_ends_where_either_side_says_so(world: World, request_: bytes):
    with world.connect() as raw:
        raw.send(request_)
        answer = raw.read()
        assert answer.headers["connection"] == "close"
        assert raw.is_closed()


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", get("slow") * 3])
def test_what_no_front_sends_ends_the_connection(world: World, sent: bytes):
    with world.connect() as raw:
        raw.send(sent)
        assert raw.is_closed()


def test_a_request_waits_while_who_answered_the_last_one_still_ends(world: World):
    """The front has the answer whole as soon as its last byte is here, and goes on."""
    with world.connect() as raw:
        raw.send(get("lingers", "x-length: 6"))
        assert raw.read().body == b"onetwo"
        raw.send(post("now", b"next"))
        assert not select.select([raw.sock], [], [], 0.1)[0]
        assert len(world.app.wholes) == 1
        world.app.gate.set()
        assert raw.read().body == b"next"


def test_the_rest_of_a_body_may_come_with_the_next_request(world: World):
    with world.connect() as raw:
        raw.send(get("lingers", "x-length: 6", "content-length: 4", method="POST") + b"ab")
        assert raw.read().body == b"onetwo"
        raw.send(b"cd" + post("now", b"next"))
        world.app.gate.set()
        assert raw.read().body == b"next"


def test_an_upgrade_is_answered_and_ends_the_connection(world: World):
    with world.connect() as raw:
        raw.send(get("now", "connection: upgrade", "upgrade: websocket"))
        assert raw.read().status == 200
        assert raw.is_closed()


def test_an_end_leaves_what_is_being_answered_its_time(world: World):
    idle, busy = world.connect(), world.connect()
    busy.send(get("slow"))
    until(lambda: world.app.wholes)
    closing = asyncio.run_coroutine_threadsafe(world.backend.close(10.0), world.thread.loop)
    assert idle.is_closed()
    world.app.gate.set()
    assert busy.read().body == b"0"
    assert busy.is_closed()
    closing.result(5)
    with pytest.raises(OSError):
        socket.socket(socket.AF_UNIX).connect(str(world.path))


def test_an_end_does_not_outwait_a_stream_that_began_before_it(world: World):
    busy = world.connect()
    busy.send(get("lingers"))
    assert busy.read().body == b"onetwo"
    closing = asyncio.run_coroutine_threadsafe(world.backend.close(10.0), world.thread.loop)
    until(lambda: world.backend.is_closing)
    world.app.gate.set()
    closing.result(5)
    assert busy.is_closed()


def test_who_comes_while_the_end_has_begun_does_not_hold_it_up(world: World):
    world.backend.is_closing = True
    assert world.connect().is_closed()


def test_an_end_does_not_wait_for_ever(world: World):
    busy = world.connect()
    busy.send(get("endless"))
    busy.read_head()
    world.thread.call(world.backend.close, 0.05)
    assert world.app.ended.wait(5)
