"""The front as an HTTP/1.1 server: RFC 9112 in raw bytes."""

from __future__ import annotations

import socket

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.edge.front import STATUS
from modelyard.edge.limits import FrontLimits
from modelyard.edge.state import Access, FrontState

from .harness import RunningFront, Server, until

GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

MALFORMED = {
    "length and chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "the same length twice": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3, 3\r\n\r\nabc",
    "signed length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc",
    "huge length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "bare LF after the line": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "bare LF after a field": b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: localhost\r\n\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    "two codings": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "hidden chunked": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "chunked of 1.0": b"POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\n\r\n",
    "NUL in a field": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "a target that is no path": b"GET x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another host's target": b"GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT evil:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_well_formed_gets_400_and_a_closed_connection(front: RunningFront, server: Server, name: str):
    with front.connect() as raw:
        raw.send(MALFORMED[name])
        answered = raw.read()
        assert (answered.status, answered.headers["connection"]) == (400, "close")
        assert raw.is_closed()


@pytest.mark.parametrize(
    "body", [b"x\r\nab\r\n0\r\n\r\n", b"2\nab\r\n0\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n"]
)
def test_a_malformed_chunk_gets_400_too(front: RunningFront, server: Server, body: bytes):
    with front.connect() as raw:
        raw.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert raw.read().status == 400
        assert raw.is_closed()


def test_what_came_before_a_malformed_request_is_answered_first(front: RunningFront, server: Server):
    with front.connect() as raw:
        raw.send(GET + GET + b"nonsense\r\n\r\n")
        assert [raw.read().status for _ in range(3)] == [200, 200, 400]
        assert raw.is_closed()


@pytest.mark.parametrize("cut", [1, 7, 16, 20, 35])
def test_a_request_may_come_in_pieces(front: RunningFront, server: Server, cut: int):
    data = b"POST /path?q=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabcdef"
    with front.connect() as raw:
        raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), cut):
            raw.send(data[start : start + cut])
        assert raw.read().body.startswith(b"POST /path?q=1 6\n")


def test_a_head_past_the_limit_gets_431(front: RunningFront, server: Server):
    field = b"X: " + b"a" * 1000 + b"\r\n"
    whole = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + field * 70 + b"\r\n"
    for data in (whole, whole[:-4], b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\nX: " + b"a" * 300_000):
        with front.connect() as raw:
            raw.send(data)
            assert raw.read().status == 431
            raw.sock.shutdown(socket.SHUT_WR)
            assert raw.is_closed()
    assert front.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + field * 60 + b"\r\n").status == 200


def test_connections_are_kept_and_requests_may_be_pipelined(front: RunningFront, server: Server):
    with front.connect() as raw:
        post = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
        raw.send(b"".join(post % number for number in range(100)))
        for number in range(100):
            assert raw.read().body.startswith(b"POST /%d 3" % number)
        raw.send(b"\r\n" + GET)
        assert raw.read().status == 200


def test_close_is_respected(front: RunningFront, server: Server):
    with front.connect() as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.read().headers["connection"] == "close"
        assert raw.is_closed()


@pytest.mark.parametrize("path", [b"/x", b"/health"])
def test_head_has_no_body(front: RunningFront, server: Server, path: bytes):
    with front.connect() as raw:
        raw.send(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET)
        answered = raw.read("HEAD")
        assert int(answered.headers["content-length"]) > 0
        assert raw.read().body.startswith(b"GET /x 0")


def test_http_1_0_closes_unless_asked_to_keep(front: RunningFront, server: Server):
    with front.connect() as raw:
        raw.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert raw.read().headers["connection"] == "keep-alive"
        raw.send(b"GET / HTTP/1.0\r\n\r\n")
        answered = raw.read()
        assert answered.headers["connection"] == "close"
        assert raw.is_closed()


def test_an_absolute_target_of_our_own_is_its_path(front: RunningFront, server: Server):
    answered = front.ask(b"GET http://localhost/a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answered.body.startswith(b"GET /a?b=c 0\n")


def test_an_upgrade_that_we_do_not_know_is_ignored(front: RunningFront, server: Server):
    with front.connect() as raw:
        h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
        raw.send(b"GET /1 HTTP/1.1\r\nHost: localhost\r\n" + h2c + b"\r\n" + GET)
        first = raw.read()
        assert first.body.startswith(b"GET /1 0") and b"upgrade" not in first.body.lower().replace(
            b"http2-settings", b""
        )
        assert raw.read().body.startswith(b"GET /x 0")
        raw.send(b"POST /2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n" + h2c + b"\r\nabc" + GET)
        assert raw.read().body.startswith(b"POST /2 3")
        assert raw.read().body.startswith(b"GET /x 0")


def test_a_client_may_end_its_side_and_still_read(front: RunningFront, server: Server):
    with front.connect() as raw:
        raw.send(GET)
        raw.sock.shutdown(socket.SHUT_WR)
        assert raw.read().status == 200
        assert raw.is_closed()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("a.localhost", 200),
        ("127.0.0.1:1", 200),
        ("127.8.9.1", 200),
        ("[::1]:80", 200),
        ("yard.example", 200),
        ("yard.example:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("8.8.8.8", 421),
        ("[fe80::1]", 421),
        ("yard.example.evil", 421),
    ],
)
def test_hosts(front: RunningFront, server: Server, host: str, status: int):
    front.take(FrontState(access=Access(hosts=("yard.example",))))
    assert front.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == status


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("GET", "http://evil", 200),
        ("POST", "http://localhost", 200),
        ("POST", "http://app.example", 200),
        ("POST", "http://evil", 403),
        ("DELETE", "http://localhost.evil", 403),
        ("PUT", "null", 403),
        ("POST", "https://localhost", 403),
        ("POST", "http://localhost:81", 403),
    ],
)
def test_origins_of_changing_requests(front: RunningFront, server: Server, method: str, origin: str, status: int):
    front.take(FrontState(access=Access(origins=("http://app.example",))))
    head = f"{method} / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
    answered = front.ask(head.encode())
    assert answered.status == status
    allowed = "http://app.example" if origin == "http://app.example" else None
    assert answered.headers.get("access-control-allow-origin") == allowed


def test_a_browser_may_ask_before_it_sends(front: RunningFront, server: Server):
    head = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://app.example\r\n"
    head += b"Access-Control-Request-Method: PUT\r\n\r\n"
    assert "access-control-allow-origin" not in front.ask(head).headers
    front.take(FrontState(access=Access(origins=("http://app.example",))))
    answered = front.ask(head)
    assert (answered.status, answered.headers["access-control-allow-origin"]) == (204, "http://app.example")


def test_the_newest_connection_past_the_cap_is_refused(front: RunningFront, server: Server):
    front.take(FrontState(limits=FrontLimits(max_connections=3)))
    open_ones = [front.connect() for _ in range(3)]
    for raw in open_ones:
        raw.send(GET)
        assert raw.read().status == 200
    with front.connect() as late:
        answered = late.read()
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
    open_ones.pop().sock.close()
    until(lambda: len(front.front._clients) < 3)
    assert front.ask(GET).status == 200
    for raw in open_ones:
        raw.sock.close()


class TestTimes:
    """With a clock that is stepped; the front looks when it is told to."""

    @pytest.fixture
    def clock(self) -> SteppedClock:
        return SteppedClock()

    @pytest.fixture
    def front(self, run, clock):
        running = RunningFront(run, clock)
        yield running
        running.close()

    def wait(self, front: RunningFront, clock: SteppedClock, seconds: float) -> None:
        clock.step(seconds)
        front.check_times()

    def test_a_head_has_ten_seconds(self, front, server, clock):
        with front.connect() as raw:
            raw.send(b"GET / HTTP/1.1\r\n")
            until(lambda: front.front._clients)
            for _ in range(3):
                self.wait(front, clock, 3)
                raw.send(b"X: y\r\n")
            assert not raw.is_closed(0.1)
            self.wait(front, clock, 1.5)
            assert raw.is_closed()

    def test_a_connection_that_says_nothing_has_ten_seconds(self, front, clock):
        with front.connect() as raw:
            until(lambda: front.front._clients)
            self.wait(front, clock, 9)
            assert not raw.is_closed(0.1)
            self.wait(front, clock, 2)
            assert raw.is_closed()

    def test_a_body_may_pause_for_thirty_seconds(self, front, server, clock):
        with front.connect() as raw:
            raw.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            for _ in range(3):
                until(lambda: any(not client.is_idle for client in front.front._clients))
                self.wait(front, clock, 29)
                before = next(iter(front.front._clients)).last_read
                raw.send(b"a")
                until(lambda: next(iter(front.front._clients)).last_read > before)  # noqa: B023
            self.wait(front, clock, 31)
            assert raw.is_closed()

    def test_an_idle_connection_is_kept_for_75_seconds(self, front, server, clock):
        with front.connect() as raw:
            raw.send(GET)
            assert raw.read().status == 200
            self.wait(front, clock, 74)
            raw.send(GET)
            assert raw.read().status == 200
            self.wait(front, clock, 74)
            raw.send(b"\r\n")
            assert not raw.is_closed(0.1)
            self.wait(front, clock, 2)
            assert raw.is_closed()


def test_every_refusal_has_a_status():
    assert set(STATUS) >= {"bad_request", "wrong_host", "wrong_origin", "head_too_large", "unavailable"}
