"""What an operation told of the catalogue is told again only while that has not changed, and only to who may ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.aws.protocol.answers import Answers

from .door import KEY, Door, opened


class Catalogue:
    """What a service reads, how often it did, and its version."""

    def __init__(self) -> None:
        self.version: int | None = 1
        self.reads: list[tuple[str, str]] = []

    def service(self) -> AwsService:
        service = AwsService("sagemaker")

        @service.operation("DescribeModel", inline=True, remembered=True)
        def describe_model(call: Call, request: dict[str, Any]) -> dict[str, Any]:
            self.reads.append((call.region, request["ModelName"]))
            if request["ModelName"] == "none":
                raise AwsError("ValidationException", "no such model")
            return {"ModelName": request["ModelName"], "ModelArn": str(len(self.reads)), "CreationTime": 1.0}

        @service.operation("DescribeEndpoint", inline=True)
        def describe_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
            self.reads.append((call.region, request["EndpointName"]))
            return {"EndpointName": request["EndpointName"]}

        return service


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def door(catalogue: Catalogue) -> Iterator[Door]:
    with opened((catalogue.service(),), version=lambda: catalogue.version) as door:
        yield door


def test_an_answer_is_given_again_until_anything_is_committed(door: Door, catalogue: Catalogue) -> None:
    client = door.client("sagemaker")
    answers = [client.describe_model(ModelName="m")["ModelArn"] for _ in range(3)]
    catalogue.version = 2
    answers += [client.describe_model(ModelName="m")["ModelArn"] for _ in range(2)]
    assert answers == ["1", "1", "1", "2", "2"]


def test_where_the_version_is_unknown_every_answer_is_read(door: Door, catalogue: Catalogue) -> None:
    catalogue.version = None
    client = door.client("sagemaker")
    assert [client.describe_model(ModelName="m")["ModelArn"] for _ in range(3)] == ["1", "2", "3"]


def test_another_input_another_region_and_another_request_have_answers_of_their_own(
    door: Door, catalogue: Catalogue
) -> None:
    client, elsewhere = door.client("sagemaker"), door.client("sagemaker", region="us-west-2")
    told = [
        client.describe_model(ModelName="m"),
        client.describe_model(ModelName="n"),
        client.describe_model(ModelName="m"),
    ]
    told.append(elsewhere.describe_model(ModelName="m"))
    assert catalogue.reads == [("eu-west-1", "m"), ("eu-west-1", "n"), ("us-west-2", "m")]
    assert len({each["ResponseMetadata"]["RequestId"] for each in told}) == 4


def test_who_may_not_ask_is_not_told_what_others_were(door: Door) -> None:
    assert door.client("sagemaker").describe_model(ModelName="m")["ModelArn"] == "1"
    for key in (replace(KEY, secret="another"), replace(KEY, access_key="AKIAUNKNOWN")):
        with pytest.raises(ClientError) as refused:
            door.client("sagemaker", key).describe_model(ModelName="m")
        code = refused.value.response["Error"]["Code"]
        assert code in ("InvalidSignatureException", "UnrecognizedClientException")


def test_refusals_and_other_operations_are_not_remembered(door: Door, catalogue: Catalogue) -> None:
    client = door.client("sagemaker")
    for _ in range(2):
        with pytest.raises(ClientError, match="no such model"):
            client.describe_model(ModelName="none")
        client.describe_endpoint(EndpointName="e")
    assert len(catalogue.reads) == 4


def test_what_is_remembered_is_bounded() -> None:
    answers = Answers(lambda: 1, limit=10_000)
    most = 0
    for number in range(1000):
        known = answers.now()
        assert known is not None
        answers.keep(known, number, b"asked", b"x" * 1000)
        most = max(most, len(known))
    assert 5 <= most <= 10
