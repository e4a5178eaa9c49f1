"""InvokeEndpoint's wire form, read by botocore's own parser and written by its own serializer."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from modelyard.core.deployments.ports import Answer, Invocation, InvocationHead, Refusal, WireAnswer
from modelyard.dialects.sagemaker.invoke import SageMakerCodec

CODEC = SageMakerCodec("123456789012", "eu-west-1")


class Wire:
    """boto3 over the codec: ``respond`` makes an Answer or a Refusal of what was matched."""

    def __init__(self, respond: Any) -> None:
        self._respond = respond
        self.matched: Any = None
        self.sent: AWSPreparedRequest | None = None
        self.client = boto3.client(
            "sagemaker-runtime",
            region_name="eu-west-1",
            endpoint_url="http://localhost:1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 0, "mode": "standard"}),
        )
        self.client.meta.events.register("before-send.sagemaker-runtime.*", self._send)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        head = InvocationHead(request.method, "/" + request.url.split("/", 3)[3], headers)
        self.matched = CODEC.match(head)
        found = self.matched if isinstance(self.matched, Refusal) else self._respond
        wire = CODEC.refuse(head, found) if isinstance(found, Refusal) else CODEC.answer(self.matched, found)
        return _response(request.url, wire)


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._body

    def read(self, *_: Any) -> bytes:
        body, self._body = self._body, b""
        return body


def _response(url: str, wire: WireAnswer) -> AWSResponse:
    return AWSResponse(url, wire.status, dict(wire.headers), _Raw(wire.body))


def refused(respond: Any, **request: Any) -> tuple[dict[str, Any], Any]:
    wire = Wire(respond)
    with pytest.raises(Exception) as caught:
        wire.client.invoke_endpoint(**{"EndpointName": "flowers", "Body": b"[]", **request})
    return caught.value.response, wire  # type: ignore[attr-defined]


def test_every_header_of_a_request_reaches_the_worker() -> None:
    wire = Wire(Answer(200, b"[1]", {"content-type": "application/json", "variant": "Blue", "custom-attributes": "c9"}))
    answer = wire.client.invoke_endpoint(
        EndpointName="flowers",
        Body=b"1,2",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=7",
        TargetVariant="Blue",
        InferenceId="i-1",
    )
    meta = {"content-type": "text/csv", "accept": "application/json", "custom-attributes": "trace=7"}
    assert wire.matched == Invocation("flowers", "Blue", {**meta, "inference-id": "i-1"})
    assert (answer["Body"].read(), answer["ContentType"]) == (b"[1]", "application/json")
    assert (answer["InvokedProductionVariant"], answer["CustomAttributes"]) == ("Blue", "c9")


@pytest.mark.parametrize(
    ("refusal", "status", "code", "words"),
    [
        (
            Refusal("unknown_endpoint", "x", "flowers"),
            400,
            "ValidationError",
            "Endpoint flowers of account 123456789012 not found.",
        ),
        (Refusal("unknown_variant", "x", "flowers"), 400, "ValidationError", "Variant Blue of endpoint flowers"),
        (Refusal("not_serving", "is being created", "flowers"), 503, "ServiceUnavailable", "is being created"),
        (Refusal("queue_full", "1024 requests wait", "flowers"), 503, "ServiceUnavailable", "1024 requests wait"),
        (Refusal("too_large", "over 26214400 bytes", "flowers"), 413, "ValidationError", "over 26214400 bytes"),
        (
            Refusal("not_signed", "Missing Authentication Token", "flowers"),
            403,
            "MissingAuthenticationTokenException",
            "Token",
        ),
        (Refusal("bad_signature", "does not match", "flowers"), 403, "InvalidSignatureException", "does not match"),
        (Refusal("something_new", "odd", "flowers"), 500, "InternalFailure", "odd"),
    ],
)
def test_refusals_have_the_runtimes_codes(refusal: Refusal, status: int, code: str, words: str) -> None:
    response, _ = refused(refusal, TargetVariant="Blue")
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)
    assert words in response["Error"]["Message"]
    assert ("retry-after" in response["ResponseMetadata"]["HTTPHeaders"]) == (status == 503)


@pytest.mark.parametrize(
    ("respond", "original", "message"),
    [
        (Answer(415, b"no such type", {"variant": "A", "log-stream": "A/w1"}), 415, "no such type"),
        (Answer(500, b"boom", {"variant": "A", "log-stream": "A/w1"}), 500, "boom"),
        (Refusal("timeout", "no answer after 60 s", "flowers"), 504, "no answer after 60 s"),
        (Refusal("worker_failed", "the worker ended", "flowers"), 500, "the worker ended"),
    ],
)
def test_a_failing_model_is_a_model_error(respond: Any, original: int, message: str) -> None:
    response, _ = refused(respond)
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (424, "ModelError")
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (original, message)
    group = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/flowers"
    stream = ":log-stream:A/w1" if isinstance(respond, Answer) else ""
    assert response["LogStreamArn"] == group + stream
    assert f'({original}) from primary with message "{message}"' in response["Error"]["Message"]


def test_an_empty_answer_stays_204() -> None:
    answer = Wire(Answer(204, b"", {"variant": "A"})).client.invoke_endpoint(EndpointName="flowers", Body=b"")
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Body"].read()) == (204, b"")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"EndpointName": "no_underscores"}, "Member must satisfy regular expression pattern"),
        ({"CustomAttributes": "x" * 1025}, "length less than or equal to 1024"),
        ({"InferenceId": "x" * 65}, "length less than or equal to 64"),
        ({"TargetModel": "a.tar.gz"}, "multi-model"),
        ({"TargetContainerHostname": "one"}, "multi-container"),
        ({"InferenceComponentName": "part"}, "inference components"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    response, _ = refused(Answer(200, b""), **given)
    assert response["Error"]["Code"] == "ValidationError"
    assert words in response["Error"]["Message"]


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/endpoints/a/invocations"), ("POST", "/"), ("POST", "/endpoints/a"), ("POST", "/api/predict")],
)
def test_what_is_no_prediction_of_ours_is_left_to_others(method: str, target: str) -> None:
    assert CODEC.match(InvocationHead(method, target, {})) is None


def test_a_path_is_decoded_once() -> None:
    refusal = CODEC.match(InvocationHead("POST", "/endpoints/%252e%252e/invocations", {}))
    assert isinstance(refusal, Refusal)
    assert refusal.endpoint == "%2e%2e"
