"""Requests to the S3 dialect as bytes of our own making: what no good client sends."""

from __future__ import annotations

import hashlib
import hmac
import http.client
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modelyard.core.identity.model import Credential
from tests.contract.dialects.s3.server import KEY, S3Server

EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


def send(
    server: S3Server,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes | Iterable[bytes] = b"",
) -> Answer:
    """Send a request as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)


def signed(
    server: S3Server,
    method: str,
    target: str,
    payload: str,
    headers: dict[str, str] | None = None,
    key: Credential = KEY,
) -> dict[str, str]:
    """Headers that sign a request whose body is described by ``payload``."""
    request = AWSRequest(
        method, f"{server.url}{target}", headers={"Host": f"127.0.0.1:{server.port}", **(headers or {})}
    )
    signer = _Signer(Credentials(key.access_key, key.secret, key.session_token), "s3", "us-east-1")
    signer.stated = payload
    signer.add_auth(request)
    return dict(request.headers.items())


class _Signer(S3SigV4Auth):
    stated = ""

    def payload(self, request: Any) -> str:
        return self.stated


class ChunkSigner:
    """The chain of signatures that begins with a request's own."""

    def __init__(self, headers: dict[str, str]) -> None:
        authorization = headers["Authorization"]
        self.before = authorization.rpartition("Signature=")[2]
        self.scope = authorization.partition("Credential=")[2].partition(",")[0].partition("/")[2]
        self.stamp = headers["X-Amz-Date"]
        self.key = f"AWS4{KEY.secret}".encode()
        for part in self.scope.split("/"):
            self.key = hmac.digest(self.key, part.encode(), "sha256")

    def chunk(self, data: bytes) -> bytes:
        """One chunk with its signature."""
        signature = self._sign(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._about()}\n{EMPTY}\n{hashlib.sha256(data).hexdigest()}"
        )
        return f"{len(data):x};chunk-signature={signature}\r\n".encode() + data + (b"\r\n" if data else b"")

    def trailers(self, lines: bytes) -> bytes:
        """Trailers with their signature."""
        text = f"AWS4-HMAC-SHA256-TRAILER\n{self._about()}\n{hashlib.sha256(lines).hexdigest()}"
        signature = self._sign(text)
        return lines.replace(b"\n", b"\r\n") + f"x-amz-trailer-signature:{signature}\r\n\r\n".encode()

    def _about(self) -> str:
        return f"{self.stamp}\n{self.scope}\n{self.before}"

    def _sign(self, text: str) -> str:
        self.before = hmac.digest(self.key, text.encode(), "sha256").hex()
        return self.before
