"""What the front says for AWS when the server is away or a request cannot be relayed: a pure codec.

Owns the wire form alone: AWS JSON and CBOR, S3's and the query services' XML, by how the request looks. Imports no
botocore, because the front must start in a fraction of a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

from modelyard.core.deployments.ports import InvocationHead, Refusal, WireAnswer

_CODES = {
    "bad_request": (400, "BadRequest", "ValidationException"),
    "wrong_origin": (403, "AccessDenied", "AccessDeniedException"),
    "wrong_host": (421, "InvalidRequest", "ValidationException"),
    "head_too_large": (431, "RequestHeaderSectionTooLarge", "ValidationException"),
    "unavailable": (503, "SlowDown", "ServiceUnavailable"),
    "too_many_connections": (503, "SlowDown", "ServiceUnavailable"),
}
"""The status of each kind, its code in S3's words and in those of the other services."""
_REST_JSON = frozenset({"sagemaker"})
"""Services whose calls without a target (InvokeEndpoint) speak JSON."""


def refuse(head: InvocationHead | None, refusal: Refusal) -> WireAnswer | None:
    """The answer to an AWS client; None when the request is none of AWS's."""
    if head is None or refusal.kind not in _CODES:
        return None
    status, s3_code, code = _CODES[refusal.kind]
    waits = (("retry-after", "1"),) if status == 503 else ()
    if head.headers.get("smithy-protocol") == "rpc-v2-cbor":
        about = (("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-errortype", code))
        return WireAnswer(status, (*about, *waits), _cbor({"__type": code, "message": refusal.message}))
    scope = _scope(head)
    is_form = head.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if head.headers.get("x-amz-target") or (scope in _REST_JSON and not is_form):
        body = json.dumps({"__type": code, "message": refusal.message}).encode()
        headers = (("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code))
        return WireAnswer(status, (*headers, *waits), body)
    if not scope:
        return None
    if scope == "s3":
        text = f"<Error><Code>{s3_code}</Code><Message>{escape(refusal.message)}</Message></Error>"
    else:
        error = f"<Error><Code>{code}</Code><Message>{escape(refusal.message)}</Message></Error>"
        text = f"<ErrorResponse>{error}</ErrorResponse>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return WireAnswer(status, (("content-type", "application/xml"), *waits), body)


def _scope(head: InvocationHead) -> str:
    """The service that a request is signed for; a presigned one or one signed with V2 is S3's."""
    authorization = head.headers.get("authorization", "")
    if authorization.startswith("AWS4-HMAC-SHA256") and "Credential=" in authorization:
        parts = authorization.split("Credential=", 1)[1].split(",", 1)[0].split("/")
        return parts[3] if len(parts) == 5 else ""
    query = head.target.partition("?")[2]
    return "s3" if "X-Amz-Signature=" in query or "AWSAccessKeyId=" in query else ""


def _cbor(texts: Mapping[str, str]) -> bytes:
    """A map of a few texts (https://www.rfc-editor.org/rfc/rfc8949#section-3.1); cbor.py would bring botocore."""
    encoded = [text.encode() for pair in texts.items() for text in pair]
    return bytes((0xA0 + len(texts),)) + b"".join(b"\x79" + len(text).to_bytes(2) + text for text in encoded)
