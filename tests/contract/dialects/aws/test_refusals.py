"""The front's refusals as botocore's own parsers read them."""

from __future__ import annotations

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session

from modelyard.core.deployments.ports import InvocationHead, Refusal
from modelyard.dialects.aws.refusals import refuse

SCOPE = "AWS4-HMAC-SHA256 Credential=AKIA/20261121/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.mark.parametrize(
    ("service", "headers", "code"),
    [
        ("sagemaker", {"x-amz-target": "SageMaker.ListModels"}, "ServiceUnavailable"),
        ("s3", {"authorization": SCOPE.format("s3")}, "SlowDown"),
        ("sts", {"authorization": SCOPE.format("sts")}, "ServiceUnavailable"),
        ("sagemaker-runtime", {"authorization": SCOPE.format("sagemaker")}, "ServiceUnavailable"),
        ("cloudwatch", {"smithy-protocol": "rpc-v2-cbor"}, "ServiceUnavailable"),
    ],
)
def test_an_absent_server_is_said_in_the_services_form(service: str, headers: dict[str, str], code: str) -> None:
    refusal = Refusal("unavailable", "the server is <starting>; try again")
    answer = refuse(InvocationHead("POST", "/", headers), refusal)
    assert answer is not None
    assert dict(answer.headers)["retry-after"] == "1"
    model = get_session().get_service_model(service)
    protocols = {"s3": "rest-xml", "sts": "query", "sagemaker-runtime": "rest-json", "cloudwatch": "smithy-rpc-v2-cbor"}
    parser = create_parser(protocols.get(service, "json"))
    response = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    shape = model.operation_model(next(iter(model.operation_names))).output_shape
    error = parser.parse(response, shape)["Error"]
    assert (error["Code"], error["Message"]) == (code, refusal.message)


def test_other_requests_are_left_to_others() -> None:
    refusal = Refusal("unavailable", "away")
    assert refuse(InvocationHead("GET", "/api/projects", {}), refusal) is None
    assert refuse(None, refusal) is None
    presigned = InvocationHead("GET", "/b/k?X-Amz-Signature=1", {})
    assert refuse(presigned, refusal) is not None
