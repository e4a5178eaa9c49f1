"""GetMetricStatistics on every wire that clients use for CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from modelyard.core.jobs.model import Metric
from modelyard.dialects.aws.monitoring import monitoring_service
from tests.contract.dialects.aws.door import KEY, Door, opened

START = 1_700_000_040.0
"""A whole minute."""

TRAINING = [Metric("loss", value, START + at) for at, value in ((0, 4.0), (30, 2.0), (60, 1.0), (185, 0.5))]


class OneJob:
    def points(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Sequence[Metric]:
        asked = (namespace, name, dict(dimensions))
        return TRAINING if asked == ("/aws/sagemaker/TrainingJobs", "loss", {"TrainingJobName": "job"}) else ()


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with opened([monitoring_service(OneJob())]) as door:
        yield door


def client(door: Door, wire: str) -> Any:
    """A CloudWatch client that speaks ``wire``, as SDKs of different ages do."""
    session = botocore.session.Session()
    session.set_config_variable("region", "eu-west-1")
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def load_service_model(service: str, kind: str, api_version: str | None = None) -> Any:
        model = load(service, kind, api_version)
        if (service, kind) == ("cloudwatch", "service-2"):
            metadata = {**model["metadata"], "protocol": wire, "protocols": [wire]}
            if wire == "query":
                metadata.pop("awsQueryCompatible", None)
            return {**model, "metadata": metadata}
        return model

    loader.load_service_model = load_service_model
    return session.create_client(
        "cloudwatch",
        endpoint_url=door.url,
        aws_access_key_id=KEY.access_key,
        aws_secret_access_key=KEY.secret,
        config=Config(parameter_validation=False),
    )


@pytest.fixture(scope="module", params=["smithy-rpc-v2-cbor", "json", "query"])
def cloudwatch(door: Door, request: pytest.FixtureRequest) -> Any:
    return client(door, request.param)


def asked(**changes: Any) -> dict[str, Any]:
    return {
        "Namespace": "/aws/sagemaker/TrainingJobs",
        "MetricName": "loss",
        "Dimensions": [{"Name": "TrainingJobName", "Value": "job"}],
        "StartTime": datetime.fromtimestamp(START + 7, UTC),
        "EndTime": datetime.fromtimestamp(START + 600, UTC),
        "Period": 60,
        "Statistics": ["Average"],
        **changes,
    }


def test_averages_by_the_minute_as_the_sdk_asks(cloudwatch: Any) -> None:
    answer = cloudwatch.get_metric_statistics(**asked())
    assert answer["Label"] == "loss"
    assert [(point["Timestamp"].timestamp() - START, point["Average"]) for point in answer["Datapoints"]] == [
        (0, 3.0),
        (60, 1.0),
        (180, 0.5),
    ]
    assert answer["Datapoints"][0]["Unit"] == "None"


def test_every_statistic(cloudwatch: Any) -> None:
    names = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]
    [point] = cloudwatch.get_metric_statistics(**asked(Period=600, Statistics=names, ExtendedStatistics=["p50"]))[
        "Datapoints"
    ]
    assert [point[name] for name in names] == [4, 1.875, 7.5, 0.5, 4.0]
    assert point["ExtendedStatistics"] == {"p50": 1.5}


def test_an_unknown_metric_has_no_points(cloudwatch: Any) -> None:
    for changes in ({"MetricName": "x"}, {"Namespace": "AWS/EC2"}, {"Dimensions": []}, {"Unit": "Seconds"}):
        assert cloudwatch.get_metric_statistics(**asked(**changes))["Datapoints"] == []


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"Period": 45}, "InvalidParameterValue", "Period"),
        ({"Statistics": []}, "ValidationError", "Value '[]' at 'statistics' failed"),
        ({"EndTime": datetime.fromtimestamp(START - 60, UTC)}, "InvalidParameterCombination", "StartTime"),
        ({"EndTime": datetime.fromtimestamp(START + 10**6, UTC)}, "InvalidParameterCombination", "16667 datapoints"),
        ({"ExtendedStatistics": ["tm90"]}, "InvalidParameterValue", "tm90"),
        ({"Dimensions": [{"Name": "x" * 256, "Value": "y"}]}, "ValidationError", "dimensions.1.member.name"),
    ],
)
def test_refusals(cloudwatch: Any, changes: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(ClientError) as refused:
        cloudwatch.get_metric_statistics(**asked(**changes))
    error = refused.value.response["Error"]
    assert (error["Code"], words in error["Message"]) == (code, True), error
