"""Requests signed by botocore, as bytes for a load generator."""

from __future__ import annotations

import json
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def sagemaker_request(port: int, environment: dict[str, str], operation: str, document: dict[str, Any]) -> bytes:
    """A signed AWS JSON 1.1 request to the control plane."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{operation}"}
    return signed(port, environment, "POST", "/", headers, json.dumps(document).encode(), "sagemaker")


def signed(
    port: int, environment: dict[str, str], method: str, path: str, headers: dict[str, str], body: bytes, service: str
) -> bytes:
    """A signed request of any service; ``path`` is already encoded."""
    request = AWSRequest(method, f"http://127.0.0.1:{port}{path}", headers=headers, data=body)
    key = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(key, service, environment["AWS_DEFAULT_REGION"]).add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "content-length"]
    return "\r\n".join([*lines, "", ""]).encode() + body
