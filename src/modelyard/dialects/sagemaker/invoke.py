"""InvokeEndpoint on the wire: a pure codec between the runtime's HTTP form and an endpoint's frames.

Owns the request's path and headers, the answer's headers and every error's form
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html). Refuses to know
botocore, models and sockets. Names in frames' ``meta``: accept, content-type, custom-attributes,
inference-id, variant, log-stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import unquote

from modelyard.core.deployments.ports import Answer, Invocation, InvocationHead, Predictions, Refusal, WireAnswer

_PATH = re.compile(r"/endpoints/([^/?]+)/(invocations(?:-response-stream)?|async-invocations)/?(?:\?.*)?$")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_HEADERS = {
    "content-type": "content-type",
    "accept": "accept",
    "x-amzn-sagemaker-custom-attributes": "custom-attributes",
    "x-amzn-sagemaker-inference-id": "inference-id",
}
_UNSUPPORTED = {
    "x-amzn-sagemaker-target-model": "TargetModel needs a multi-model endpoint",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname needs a multi-container endpoint",
    "x-amzn-sagemaker-inference-component": "inference components are not offered here",
    "x-amzn-sagemaker-session-id": "stateful sessions are not offered here",
}
_REFUSALS = {
    "unknown_endpoint": (400, "ValidationError"),
    "unknown_variant": (400, "ValidationError"),
    "bad_request": (400, "ValidationError"),
    "not_signed": (403, "MissingAuthenticationTokenException"),
    "bad_signature": (403, "InvalidSignatureException"),
    "too_large": (413, "ValidationError"),
    "not_serving": (503, "ServiceUnavailable"),
    "queue_full": (503, "ServiceUnavailable"),
}
_MODEL_ERRORS = {"timeout": 504, "worker_failed": 500}
_LONGEST = {
    "x-amzn-sagemaker-custom-attributes": ("customAttributes", 1024),
    "x-amzn-sagemaker-inference-id": ("inferenceId", 64),
    "content-type": ("contentType", 1024),
    "accept": ("accept", 1024),
}
_MESSAGE_LIMIT = 2048


class SageMakerCodec:
    """The port ``core.deployments.ports.InvocationCodec`` for ``POST /endpoints/{name}/invocations``."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def match(self, head: InvocationHead) -> Invocation | Refusal | None:
        """What the request asks for; None when it is no prediction of this dialect."""
        found = _PATH.match(head.target)
        if found is None or head.method != "POST":
            return None
        endpoint, headers = unquote(found[1]), head.headers
        wrong = _wrong(endpoint, found[2], headers)
        if wrong is not None:
            return Refusal("bad_request", wrong, endpoint)
        return Invocation(
            endpoint=endpoint,
            variant=headers.get("x-amzn-sagemaker-target-variant"),
            meta={ours: headers[theirs] for theirs, ours in _HEADERS.items() if theirs in headers},
        )

    def answer(self, invocation: Invocation, answer: Answer) -> WireAnswer:
        """A worker's answer: its body, or ModelError 424 carrying the hook's own status and message."""
        variant = answer.meta.get("variant", "")
        if not 200 <= answer.status < 300:
            return self._model_error(answer.status, answer.body, invocation.endpoint, answer.meta)
        headers = [
            ("content-type", answer.meta.get("content-type", "application/octet-stream")),
            ("x-amzn-invoked-production-variant", variant),
        ]
        attributes = answer.meta.get("custom-attributes")
        if attributes:
            headers.append(("x-amzn-sagemaker-custom-attributes", attributes))
        return WireAnswer(answer.status, tuple(headers), answer.body)

    def refuse(self, head: InvocationHead, refusal: Refusal) -> WireAnswer:
        """The front's own answer in the runtime's words."""
        name, message = refusal.endpoint or _endpoint_of(head), refusal.message
        if refusal.kind in _MODEL_ERRORS:
            return self._model_error(_MODEL_ERRORS[refusal.kind], message.encode(), name, {})
        status, code = _REFUSALS.get(refusal.kind, (500, "InternalFailure"))
        if refusal.kind == "unknown_endpoint":
            message = f"Endpoint {name} of account {self._account} not found."
        elif refusal.kind == "unknown_variant":
            variant = head.headers.get("x-amzn-sagemaker-target-variant", "")
            message = f"Variant {variant} of endpoint {name} of account {self._account} not found."
        return _error(status, code, message, *([("retry-after", "1")] if status == 503 else []))

    def _model_error(self, status: int, body: bytes, endpoint: str, meta: Mapping[str, str]) -> WireAnswer:
        """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html, ModelError."""
        stream = meta.get("log-stream", "")
        original = body.decode("utf-8", "replace")
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        console = (
            f"https://{self._region}.console.aws.amazon.com/cloudwatch/home?region={self._region}"
            f"#logEventViewer:group={group}"
        )
        document = {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if 400 <= status < 500 else "SERVER_ERROR_FROM_MODEL",
            "LogStreamArn": f"arn:aws:logs:{self._region}:{self._account}:log-group:{group}"
            + (f":log-stream:{stream}" if stream else ""),
            "Message": f"Received {'client' if 400 <= status < 500 else 'server'} error ({status}) from primary with "
            f'message "{original[:_MESSAGE_LIMIT]}". See {console} in account {self._account} for more information.',
            "OriginalMessage": original[:_MESSAGE_LIMIT],
            "OriginalStatusCode": status,
        }
        return _wire(424, "ModelError", document)


def _wrong(endpoint: str, verb: str, headers: Mapping[str, str]) -> str | None:
    """Why the request cannot be; None when it can."""
    if verb != "invocations":
        return f"{verb} is not offered here; use invocations"
    for name, what in _UNSUPPORTED.items():
        if name in headers:
            return what
    if not _NAME.fullmatch(endpoint):
        return _constraint(endpoint)
    for name, (member, limit) in _LONGEST.items():
        if len(headers.get(name, "")) > limit:
            return _too_long(member, limit)
    return None


def _endpoint_of(head: InvocationHead) -> str:
    found = _PATH.match(head.target)
    return unquote(found[1]) if found else ""


def _error(status: int, code: str, message: str, *more: tuple[str, str]) -> WireAnswer:
    return _wire(status, code, {"Message": message}, *more)


def _wire(status: int, code: str, document: object, *more: tuple[str, str]) -> WireAnswer:
    headers = (("content-type", "application/json"), ("x-amzn-errortype", code), *more)
    return WireAnswer(status, headers, json.dumps(document).encode())


def _constraint(name: str) -> str:
    return (
        f"1 validation error detected: Value '{name}' at 'endpointName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
    )


def _too_long(member: str, limit: int) -> str:
    return (
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}"
    )


PREDICTIONS = Predictions(codecs=lambda account, region: (SageMakerCodec(account, region),))
