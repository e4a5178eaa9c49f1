"""GetMetricStatistics on every wire that clients use for CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from modelyard.core.jobs.model import Metric
from modelyard.dialects.aws.monitoring import Series, monitoring_service
from tests.contract.dialects.aws.door import KEY, Door, opened

START = 1_700_000_040.0
"""A whole minute."""

TRAINING = [Metric("loss", value, START + at) for at, value in ((0, 4.0), (30, 2.0), (60, 1.0), (185, 0.5))]


USED = [Metric("CPUUtilization", value, START + at) for at, value in ((0, 150.0), (60, 50.0), (120, 10.0))]


class OneJob:
    def series(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Series:
        asked = (namespace, name, dict(dimensions))
        if asked == ("/aws/sagemaker/TrainingJobs", "loss", {"TrainingJobName": "job"}):
            return Series("None", TRAINING)
        return Series("Percent", USED) if dimensions == {"Host": "job/algo-2"} else Series()


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


def query(name: str = "all", **changes: Any) -> dict[str, Any]:
    metric = {
        "Namespace": "/aws/sagemaker/TrainingJobs",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "Host", "Value": "job/algo-2"}],
    }
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}, **changes}


def data(cloudwatch: Any, *queries: dict[str, Any], **changes: Any) -> Any:
    window = {name: asked()[name] for name in ("StartTime", "EndTime")}
    return cloudwatch.get_metric_data(MetricDataQueries=list(queries), **window, **changes)


def test_data_of_a_host_newest_first(cloudwatch: Any) -> None:
    loss = query("loss", Label="the loss")
    loss["MetricStat"]["Metric"] = {
        "Namespace": "/aws/sagemaker/TrainingJobs",
        "MetricName": "loss",
        "Dimensions": [{"Name": "TrainingJobName", "Value": "job"}],
    }
    answer = data(cloudwatch, query(), loss, query("hidden", ReturnData=False))
    assert "NextToken" not in answer
    found = {result["Id"]: result for result in answer["MetricDataResults"]}
    assert found.keys() == {"all", "loss"}
    assert (found["all"]["Label"], found["loss"]["Label"]) == ("CPUUtilization", "the loss")
    assert found["all"]["Values"] == [10, 50, 150]
    assert [at.timestamp() - START for at in found["all"]["Timestamps"]] == [120, 60, 0]
    assert found["loss"]["Values"] == [0.5, 1, 3]
    assert {result["StatusCode"] for result in found.values()} == {"Complete"}


def test_data_comes_by_pages(cloudwatch: Any) -> None:
    seen: dict[str, list[float]] = {"a": [], "b": []}
    more: dict[str, Any] = {}
    pages = 0
    while True:
        page = data(cloudwatch, query("a"), query("b"), ScanBy="TimestampAscending", MaxDatapoints=2, **more)
        for result in page["MetricDataResults"]:
            seen[result["Id"]] += result["Values"]
        pages += 1
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert (seen, pages) == ({"a": [150, 50, 10], "b": [150, 50, 10]}, 3)


def test_data_in_another_unit_or_by_a_percentile(cloudwatch: Any) -> None:
    wanted = query()
    wanted["MetricStat"] |= {"Unit": "Percent", "Stat": "p50", "Period": 600}
    [result] = data(cloudwatch, wanted)["MetricDataResults"]
    assert result["Values"] == [50]
    wanted["MetricStat"]["Unit"] = "Bytes"
    [result] = data(cloudwatch, wanted)["MetricDataResults"]
    assert result["Values"] == []


@pytest.mark.parametrize(
    ("queries", "more", "words"),
    [
        ([query(), query()], {}, "not unique"),
        ([{"Id": "sum", "Expression": "SUM(METRICS())"}], {}, "expressions are not evaluated here"),
        ([query()], {"NextToken": "-1"}, "next token specified is invalid"),
    ],
)
def test_refused_data(cloudwatch: Any, queries: list[dict[str, Any]], more: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words):
        data(cloudwatch, *queries, **more)
