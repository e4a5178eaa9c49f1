"""What is no prediction goes to the server and comes back, byte for byte, in bounded memory."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from modelyard.base.disk import listen_unix

from .conftest import echo
from .harness import Raw, Server, until

GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


class ScriptedServer:
    """A server behind the front that reads and writes what a test says, one thread for each connection."""

    def __init__(self, path, talk):
        self.requests = []
        self._listener = listen_unix(path)
        self._talk = talk
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        raw = Raw(sock)
        try:
            while True:
                self.requests.append(raw.read_head())
                if self._talk(raw, self.requests[-1]) is False:
                    break
        except (EOFError, OSError):
            pass
        sock.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def scripted(run):
    made = []

    def make(talk):
        made.append(ScriptedServer(run / "server.sock", talk))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_the_head_goes_on_as_it_came_but_for_our_own_fields(front, scripted):
    server = scripted(lambda raw, head: raw.send(b"HTTP/1.1 204 No Content\r\n\r\n"))
    front.ask(
        b"PUT /b/a%20b//c?x=%2F&y HTTP/1.1\r\nHost: localhost:80\r\nX-B: 1\r\nx-a:  two  words \r\nX-B: 2\r\n"
        b"X-Modelyard-Front-Job: 1\r\nx-modelyard-front-peer: 6.6.6.6\r\nX-Modelyard-Front-Other: 1\r\n"
        b"Connection: keep-alive\r\nAuthorization: AWS4-HMAC-SHA256 x\r\nContent-Length: 0\r\n\r\n"
    )
    assert server.requests[0].decode().split("\r\n") == [
        "PUT /b/a%20b//c?x=%2F&y HTTP/1.1",
        "Host: localhost:80",
        "X-B: 1",
        "x-a: two  words ",
        "X-B: 2",
        "Authorization: AWS4-HMAC-SHA256 x",
        "Content-Length: 0",
        "x-modelyard-front-peer: 127.0.0.1",
        "x-modelyard-front-scheme: http",
    ]


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_chunked_bodies_arrive_whole(front, server, size):
    with front.connect() as raw:
        raw.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, size, 100_000):
            length = min(100_000, size - start)
            raw.send(b"%x;ext=1\r\n%b\r\n" % (length, b"a" * length))
        raw.send(b"0\r\nTrailer: x\r\n\r\n" + GET)
        assert raw.read().body.startswith(b"POST / %d\n" % size)
        assert raw.read().body.startswith(b"GET /x 0\n")


def test_trailers_say_nothing_to_the_server(front, server):
    forged = b"x-modelyard-front-peer: 6.6.6.6\r\nx-modelyard-front-scheme: https\r\nx-own: 1\r\n"
    answer = front.ask(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + forged + b"\r\n"
    )
    lines = answer.body.decode().splitlines()
    assert {"peer: 127.0.0.1", "scheme: http"} <= set(lines)
    assert "x-own: 1" not in lines


@pytest.mark.parametrize("endless", [b"X: " + b"a" * 600_000, b"X: a\r\n" * 100_000])
def test_trailers_without_end_are_refused(front, server, endless):
    with front.connect() as raw:
        raw.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + endless)
        assert raw.read().status == 400


def test_health_follows_the_server(front, run):
    ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert front.ask(ask).status == 503
    server = Server(echo, run / "server.sock")
    assert front.ask(ask).status == 200
    server.close()
    assert front.ask(ask).status == 503


def test_while_the_server_is_away_callers_are_told_to_come_back(front, run):
    with front.connect() as raw:
        raw.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
        answered = raw.read()
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        server = Server(echo, run / "server.sock")
        raw.send(GET)
        assert raw.read().status == 200
        server.close()
        raw.send(GET)
        assert raw.read().status == 503


def test_a_request_that_the_server_may_have_seen_is_not_sent_twice(front, scripted):
    server = scripted(lambda raw, head: False)
    assert front.ask(GET).status == 503
    assert len(server.requests) == 1


def test_a_small_answer_that_breaks_off_becomes_a_refusal(front, scripted):
    def talk(raw, head):
        raw.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        return False

    scripted(talk)
    assert front.ask(GET).status == 503


def test_a_large_answer_that_breaks_off_breaks_off_at_the_client_too(front, scripted):
    def talk(raw, head):
        raw.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhalf")
        return False

    scripted(talk)
    with front.connect() as raw:
        raw.send(GET)
        with pytest.raises((EOFError, ConnectionResetError)):
            raw.read()


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nt: u\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("cut", [1, 9, 1000])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_responses_in_every_framing_and_cut(front, scripted, response, cut, version):
    def talk(raw, head):
        for start in range(0, len(response), cut):
            raw.send(response[start : start + cut])
            if cut < 1000:
                time.sleep(0.0005)
        return b"close" not in response.lower()

    scripted(talk)
    with front.connect() as raw:
        for _ in range(2):
            raw.send(b"GET / HTTP/" + version + b"\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
            answered = raw.read()
            while answered.status < 200:
                assert version == b"1.1"
                answered = raw.read()
            assert answered.body == b"hello"
            assert version == b"1.1" or "transfer-encoding" not in answered.headers
            if answered.headers.get("connection") == "close":
                assert raw.is_closed()
                break


def test_connections_to_the_server_are_used_again(front, scripted):
    opened = set()

    def talk(raw, head):
        opened.add(raw)
        raw.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    scripted(talk)
    with front.connect() as one, front.connect() as two:
        for _ in range(20):
            for raw in (one, two):
                raw.send(GET)
                assert raw.read().status == 204
    assert len(opened) == 1


def test_expect_continue_is_the_servers_to_answer(front, server):
    head = b"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    with front.connect() as raw:
        raw.send(head)
        assert raw.read().status == 100
        raw.send(b"abc")
        assert raw.read().body.startswith(b"PUT /k 3")


def test_a_refused_upload_reads_its_answer(front, scripted):
    """The server answers before it has the body; the client is still sending."""
    scripted(lambda raw, head: raw.send(b"HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 4\r\n\r\nfull"))
    with front.connect() as raw:
        raw.send(b"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(20):
            raw.send(b"a" * 100_000)
        answered = raw.read()
        assert (answered.status, answered.body, answered.headers["connection"]) == (507, b"full", "close")
    with front.connect() as raw:
        raw.send(b"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        answered = raw.read()
        assert (answered.status, answered.headers["connection"]) == (507, "close")


def test_a_gone_client_ends_its_request(front, scripted):
    ended = threading.Event()

    def talk(raw, head):
        raw.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        try:
            while True:
                raw.send(b"a" * 10_000)
        except OSError:
            ended.set()
            raise

    scripted(talk)
    with front.connect() as raw:
        raw.send(GET)
        raw.read_head()
    assert ended.wait(10)


def test_both_ways_slow_down_with_the_slower_side(front, scripted):
    """Neither a stalled server nor a stalled client makes the front hold the body."""
    go = threading.Event()
    total = 100 << 20

    def talk(raw, head):
        if head.startswith(b"PUT"):
            go.wait(20)
            raw._take(total)
            raw.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        else:
            raw.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
            sent["down"] = 0
            for _ in range(total >> 20):
                raw.send(bytes(1 << 20))
                sent["down"] += 1 << 20

    sent = {"up": 0, "down": 0}
    scripted(talk)
    with front.connect() as raw:
        raw.send(b"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % total)

        def push():
            for _ in range(total >> 20):
                raw.send(bytes(1 << 20))
                sent["up"] += 1 << 20

        pusher = threading.Thread(target=push)
        pusher.start()
        assert settled(sent, "up") < 24 << 20
        go.set()
        pusher.join(60)
        assert raw.read().status == 200
        raw.send(GET)
        raw.read_head()
        assert settled(sent, "down") < 24 << 20
        size = len(raw.held)
        while size < total:
            size += len(raw.sock.recv(1 << 20))
        assert size == total


def settled(counts, name):
    """A count once it has stopped growing."""
    before = -1
    while counts[name] != before or not before:
        before = counts[name]
        time.sleep(0.15)
    return before


def test_websockets_pass_both_ways(front, scripted):
    def talk(raw, head):
        assert b"upgrade: websocket" in head.lower() and b"\r\nconnection: upgrade" in head.lower()
        raw.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05early")
        while data := raw.held or raw.sock.recv(65536):
            raw.held = b""
            raw.send(data.upper())
        return False

    scripted(talk)
    hello = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    with front.connect() as raw:
        raw.send(hello + b"Origin: http://localhost\r\n\r\n")
        assert raw.read_head().startswith(b"HTTP/1.1 101")
        while len(raw.held) < 7:
            raw.held += raw.sock.recv(100)
        assert raw.held == b"\x81\x05early"
        raw.send(b"hello" * 100_000)
        got = b""
        while len(got) < 500_000:
            got += raw.sock.recv(65536)
        assert got == b"HELLO" * 100_000
        raw.sock.shutdown(socket.SHUT_WR)
        assert raw.is_closed()
    assert front.ask(hello + b"Origin: http://evil\r\n\r\n").status == 403


def test_a_refused_websocket_is_an_answer_like_any_other(front, server):
    with front.connect() as raw:
        raw.send(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        answered = raw.read()
        assert answered.status == 200
        assert answered.headers["connection"] == "close"
        assert raw.is_closed()


def test_a_gigabyte_passes_in_bounded_memory(front, scripted):
    total = 1 << 30
    block = bytes(1 << 20)

    def talk(raw, head):
        raw.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(1024):
            raw.send(block)

    scripted(talk)
    buffer = bytearray(1 << 20)
    before = resident()
    with front.connect() as raw:
        raw.send(GET)
        raw.read_head()
        size, most = len(raw.held), 0
        while size < total:
            size += raw.sock.recv_into(buffer)
            if size & 0xFF == 0:
                most = max(most, resident())
    assert size == total
    assert most - before < 32 << 20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_pool_lets_go_of_old_connections(front, server):
    front.ask(GET)
    until(lambda: front.front._link._free)
    front.front._link._free[0].idle_since -= 10
    front.check_times()
    until(lambda: not front.front._link._free)
