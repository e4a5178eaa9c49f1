"""Tags through boto3, on every kind of ARN."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.dialects.sagemaker.conftest import (
    ACCOUNT,
    REGION,
    ROLE,
    Bench,
    model_request,
    training_request,
    variant,
)
from tests.contract.dialects.sagemaker.refusals import refusal

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
FIRST = [{"Key": "made", "Value": "by test"}]


def make_all(bench: Bench) -> list[str]:
    """One tagged object of each kind; their ARNs."""
    sm = bench.sm
    sm.create_model(**model_request("M"), Tags=FIRST)
    config = {"EndpointConfigName": "C", "ProductionVariants": [variant("M")]}
    hook = {"NotebookInstanceLifecycleConfigName": "L"}
    notebook = {"NotebookInstanceName": "N", "InstanceType": "ml.t3.medium", "RoleArn": ROLE}
    return [
        sm.create_training_job(**training_request("T"), Tags=FIRST)["TrainingJobArn"],
        sm.describe_model(ModelName="M")["ModelArn"],
        sm.create_endpoint_config(**config, Tags=FIRST)["EndpointConfigArn"],
        sm.create_endpoint(EndpointName="E", EndpointConfigName="C", Tags=FIRST)["EndpointArn"],
        sm.create_notebook_instance(**notebook, Tags=FIRST)["NotebookInstanceArn"],
        sm.create_notebook_instance_lifecycle_config(**hook, Tags=FIRST)["NotebookInstanceLifecycleConfigArn"],
    ]


def test_every_kind_of_object_keeps_adds_and_loses_tags(bench: Bench) -> None:
    more = [{"Key": "made", "Value": "again"}, {"Key": "k", "Value": ""}]
    for arn in make_all(bench):
        assert bench.sm.list_tags(ResourceArn=arn)["Tags"] == FIRST
        assert bench.sm.add_tags(ResourceArn=arn, Tags=more)["Tags"] == more
        assert bench.sm.list_tags(ResourceArn=arn, MaxResults=50)["Tags"] == more
        bench.sm.delete_tags(ResourceArn=arn, TagKeys=["made", "unknown"])
        assert bench.sm.list_tags(ResourceArn=arn)["Tags"] == more[1:]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("training-job/no", "Requested resource not found."),
        ("model/no", f'Could not find model "{ARN}model/no".'),
        ("endpoint-config/no", f'Could not find endpoint configuration "{ARN}endpoint-config/no".'),
        ("endpoint/no", f'Could not find endpoint "{ARN}endpoint/no".'),
        ("notebook-instance/no", "RecordNotFound"),
        ("notebook-instance-lifecycle-config/no", "does not exist"),
        ("pipeline/no", "names no kind of resource"),
    ],
)
def test_tags_of_nothing_are_refused(untouched: Bench, kind: str, words: str) -> None:
    requests: list[tuple[Any, dict[str, Any]]] = [
        (untouched.sm.add_tags, {"Tags": FIRST}),
        (untouched.sm.list_tags, {}),
        (untouched.sm.delete_tags, {"TagKeys": ["a"]}),
    ]
    for ask, request in requests:
        code, message = refusal(ask, ResourceArn=ARN + kind, **request)
        assert code == "ValidationException"
        assert words in message


def test_an_arn_of_another_region_or_account_names_nothing(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    for arn in (f"{ARN}model/m".replace(REGION, "us-west-2"), f"{ARN}model/m".replace(ACCOUNT, "000000000000")):
        assert "Could not find model" in refusal(bench.sm.list_tags, ResourceArn=arn)[1]


def test_more_than_fifty_tags_are_a_limit_and_none_of_them_is_set(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"), Tags=FIRST)
    arn = f"{ARN}model/m"
    tags = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert refusal(bench.sm.add_tags, ResourceArn=arn, Tags=tags)[0] == "ResourceLimitExceeded"
    assert bench.sm.list_tags(ResourceArn=arn)["Tags"] == FIRST


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"Tags": [{"Key": "", "Value": ""}]}, "tags.1.member.key"),
        ({"Tags": [{"Key": "a", "Value": "x" * 257}]}, "tags.1.member.value"),
        ({"Tags": [{"Key": "a\u0007", "Value": ""}]}, "tags.1.member.key"),
        ({"Tags": [{"Value": ""}]}, "Value null at 'tags.1.member.key'"),
        ({"ResourceArn": "arn:x", "Tags": FIRST}, "Value 'arn:x' at 'resourceArn'"),
        ({}, "Value null at 'tags'"),
    ],
)
def test_tags_that_cannot_be_are_refused(untouched: Bench, request_: dict[str, Any], words: str) -> None:
    code, message = refusal(untouched.raw.add_tags, **{"ResourceArn": f"{ARN}model/m", **request_})
    assert code == "ValidationException"
    assert words in message


def test_a_list_of_tags_is_one_page(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"), Tags=FIRST)
    assert "NextToken" not in bench.sm.list_tags(ResourceArn=f"{ARN}model/m")
    assert refusal(bench.sm.list_tags, ResourceArn=f"{ARN}model/m", NextToken="x")[0] == "ValidationException"
    assert "maxResults" in refusal(bench.raw.list_tags, ResourceArn=f"{ARN}model/m", MaxResults=1)[1]
