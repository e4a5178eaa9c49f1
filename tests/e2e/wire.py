"""Requests as bytes of our own making, signed where they should be: what no good client sends."""

from __future__ import annotations

import socket
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modelyard.testing.server import RunningServer
from tests.contract.edge.harness import Answered, Raw

TARGETS = {"sagemaker": "SageMaker", "logs": "Logs_20140328"}


def connect(server: RunningServer) -> Raw:
    return Raw(socket.create_connection(("127.0.0.1", server.port), 20))


def ask(server: RunningServer, data: bytes, method: str = "GET") -> Answered:
    """One request over a connection of its own."""
    with connect(server) as raw:
        raw.send(data)
        return raw.read(method)


def head(method: str, target: str, headers: dict[str, Any]) -> bytes:
    """A request's head; ``headers`` may name another Host."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in ({"Host": "localhost"} | headers).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def signed(
    server: RunningServer,
    service: str,
    method: str,
    target: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Headers, Content-Length among them, that sign a request as boto3 would. Of S3 the body is not signed."""
    keys = server.environment
    host = {"Host": f"127.0.0.1:{server.port}"}
    request = AWSRequest(method, f"{server.url}{target}", data=body, headers=host | (headers or {}))
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    if service == "s3":
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        request.context["payload_signing_enabled"] = False
    credentials = Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    kind(credentials, service, keys["AWS_DEFAULT_REGION"]).add_auth(request)
    return {**dict(request.headers.items()), "Content-Length": str(len(body))}


def aws_call(server: RunningServer, service: str, operation: str, body: bytes) -> bytes:
    """A signed call of a JSON service."""
    about = {"X-Amz-Target": f"{TARGETS[service]}.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    return head("POST", "/", signed(server, service, "POST", "/", body, about)) + body
