"""A process in a user namespace of its own is taken for a job, others are not."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from modelyard.edge import peers

from .harness import RunningFront, Server

CLIENT = (
    "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); "
    "s.sendall(sys.argv[3].encode()); print(s.makefile('rb').read().decode())"
)


def can_unshare() -> bool:
    return subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not can_unshare(), reason="this machine refuses user namespaces")


def ask_as(prefix: list[str], front: RunningFront, request: str, host: str = "127.0.0.1") -> str:
    command = [*prefix, sys.executable, "-S", "-c", CLIENT, host, str(front.port), request]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


GET = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@needs_namespaces
def test_a_job_is_marked_and_others_are_not(front: RunningFront, server: Server):
    assert "job: True" in ask_as(["unshare", "--user"], front, GET)
    assert "job: False" in ask_as([], front, GET)


SIGNED = (
    "X-Amz-Date: 20260102T030405Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/s3/aws4_request,"
    f"SignedHeaders=host, Signature={'0' * 64}\r\n"
)


@needs_namespaces
def test_a_signed_request_is_not_looked_up(front: RunningFront, server: Server):
    for signed in (
        GET.replace("Connection", f"{SIGNED}Connection"),
        GET.replace("GET /", "GET /?AWSAccessKeyId=AKIA&Signature=x&Expires=1"),
    ):
        assert "job: False" in ask_as(["unshare", "--user"], front, signed)


@needs_namespaces
@pytest.mark.parametrize("header", ["", "Authorization: x\r\n", "Authorization: AWS4-HMAC-SHA256 x\r\n"])
@pytest.mark.parametrize("query", ["", "?Signature=x", "?X-Amz-Signature=x"])
def test_what_only_looks_like_a_signature_hides_no_job(front: RunningFront, server: Server, header: str, query: str):
    request = GET.replace("GET /", f"GET /{query}").replace("Connection", f"{header}Connection")
    assert "job: True" in ask_as(["unshare", "--user"], front, request)


def test_whoever_cannot_be_looked_up_counts_as_a_job(
    front: RunningFront, server: Server, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> list[bool]:
        raise RuntimeError("out of order")

    monkeypatch.setattr(front.front._peers, "are_from_jobs", broken)
    for _ in range(2):
        assert "job: True" in ask_as([], front, GET)


def test_the_answer_is_kept_for_the_connection(front: RunningFront, server: Server):
    with front.connect() as raw:
        for _ in range(3):
            raw.send(GET.replace("Connection: close\r\n", "").encode())
            assert b"job: False" in raw.read().body
        assert [client.from_job for client in front.front._clients] == [False]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_sockets_are_found(family: socket.AddressFamily):
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listener:
        own = listener.getsockname()[:2]
        with socket.create_connection(own) as client:
            accepted, peer = listener.accept()
            assert peers.Peers().are_from_jobs([(peer[:2], own), ((host, 1), own)], ()) == [False, True]
            client.close()
            accepted.close()


def test_mapped_addresses_are_found():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, peer = listener.accept()
            assert peer[0] == "::ffff:127.0.0.1"
            assert peers.Peers().are_from_jobs([(peer[:2], accepted.getsockname()[:2])], ()) == [False]
            accepted.close()


@pytest.mark.parametrize(("address", "local"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False)])
def test_local_addresses(address: str, local: bool):
    assert peers.is_local(address) is local
