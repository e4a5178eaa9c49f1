"""Constraints in the service's words, for every kind of member and place."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.dialects.aws.protocol.checks import MOST_PROBLEMS, Checks
from modelyard.dialects.aws.protocol.models import Shape, StructureShape, service_model
from modelyard.dialects.aws.protocol.patterns import matcher
from modelyard.dialects.aws.protocol.service import Overlay

SAGEMAKER = service_model("sagemaker")
NAME = r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"


def problems(operation: str, request: dict[str, Any], overlay: Overlay | None = None) -> list[str]:
    shape = SAGEMAKER.operation_model(operation).input_shape
    check = Checks(overlay or Overlay()).check(shape)
    found: list[str] = []
    assert check is not None
    check(request, "", found)
    return found


def training(**changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "job",
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        **changes,
    }


def pattern_of(name: str) -> str:
    return str(SAGEMAKER.shape_for(name).metadata["pattern"])


def test_a_right_request_has_no_problems() -> None:
    assert problems("CreateTrainingJob", training()) == []


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"TrainingJobName": "_" * 64},
        [
            f"Value '{'_' * 64}' at 'trainingJobName' failed to satisfy constraint: "
            "Member must have length less than or equal to 63",
            f"Value '{'_' * 64}' at 'trainingJobName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {pattern_of('TrainingJobName')}",
        ],
    ),
    (
        {"OutputDataConfig": {}},
        ["Value null at 'outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must not be null"],
    ),
    (
        {"HyperParameters": {"a": "x" * 2501, "b": "y"}},
        [
            f"Value '{{a={'x' * 2501}, b=y}}' at 'hyperParameters' failed to satisfy constraint: "
            "Map value must satisfy constraint: [Member must have length less than or equal to 2500, Member must have "
            "length greater than or equal to 0, Member must satisfy regular expression pattern: .*]"
        ],
    ),
    (
        {"HyperParameters": {"k" * 257: "y"}},
        [
            f"Value '{{{'k' * 257}=y}}' at 'hyperParameters' failed to satisfy constraint: Map keys must satisfy "
            "constraint: [Member must have length less than or equal to 256, Member must have length greater than or "
            "equal to 0, Member must satisfy regular expression pattern: .*]"
        ],
    ),
    (
        {"HyperParameters": {f"k{number}": "v" for number in range(101)}},
        [
            f"Value '{{{', '.join(f'k{number}=v' for number in range(101))}}}' at 'hyperParameters' failed to satisfy "
            "constraint: Member must have length less than or equal to 100"
        ],
    ),
    (
        {"VpcConfig": {"SecurityGroupIds": ["sg 1", "sg-2"], "Subnets": ["subnet-1"]}},
        [
            "Value '[sg 1, sg-2]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must have length less than or equal to 32, Member must have length greater than or "
            f"equal to 0, Member must satisfy regular expression pattern: {pattern_of('SecurityGroupId')}]"
        ],
    ),
    (
        {"InputDataConfig": [{"ChannelName": "a b", "DataSource": {"S3DataSource": {"S3DataType": "S3"}}}]},
        [
            "Value 'a b' at 'inputDataConfig.1.member.channelName' failed to satisfy constraint: Member must satisfy "
            f"regular expression pattern: {pattern_of('ChannelName')}",
            "Value 'S3' at 'inputDataConfig.1.member.dataSource.s3DataSource.s3DataType' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(SAGEMAKER.shape_for('S3DataType').enum)}]",
            "Value null at 'inputDataConfig.1.member.dataSource.s3DataSource.s3Uri' failed to satisfy constraint: "
            "Member must not be null",
        ],
    ),
    (
        {"InputDataConfig": [None]},
        ["Value null at 'inputDataConfig.1.member' failed to satisfy constraint: Member must not be null"],
    ),
    (
        {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
        [
            "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        ],
    ),
    (
        {"RetryStrategy": {"MaximumRetryAttempts": 31}},
        [
            "Value '31' at 'retryStrategy.maximumRetryAttempts' failed to satisfy constraint: "
            "Member must have value less than or equal to 30"
        ],
    ),
    (
        {"Tags": [{"Key": "", "Value": "v"}]},
        [
            "Value '' at 'tags.1.member.key' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1"
        ],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_constraints_are_worded_as_the_service_words_them(changes: dict[str, Any], expected: list[str]) -> None:
    assert problems("CreateTrainingJob", training(**changes)) == expected


def test_an_overlay_demands_and_accepts_more() -> None:
    demands = Overlay(required={"CreateTrainingJobRequest": ("AlgorithmSpecification",)})
    assert problems("CreateTrainingJob", training(), demands) == [
        "Value null at 'algorithmSpecification' failed to satisfy constraint: Member must not be null"
    ]
    accepts = Overlay(enums={"NotebookInstanceSortKey": ("LastModifiedTime",)})
    assert problems("ListNotebookInstances", {"SortBy": "LastModifiedTime"}, accepts) == []
    assert (
        "Name, CreationTime, Status, LastModifiedTime]"
        in problems("ListNotebookInstances", {"SortBy": "x"}, accepts)[0]
    )
    assert len(problems("ListNotebookInstances", {"SortBy": "LastModifiedTime"})) == 1


def test_a_hostile_request_is_not_told_every_problem() -> None:
    found = problems("CreateTrainingJob", training(InputDataConfig=[{} for _ in range(10_000)]))
    assert MOST_PROBLEMS <= len(found) <= MOST_PROBLEMS + 3


def _patterns() -> dict[str, int]:
    """Every pattern, with the longest value that is held against it."""
    found: dict[str, int] = {}
    for service in ("sagemaker", "logs", "cloudwatch", "sts", "iam"):
        model = service_model(service)
        for limits in (model.shape_for(name).metadata for name in model.shape_names):
            if "pattern" in limits:
                longest = min(limits.get("max", 4096), 4096)
                found[limits["pattern"]] = max(longest, found.get(limits["pattern"], 0))
    return found


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("pattern", "longest"), sorted(_patterns().items()))
def test_no_pattern_backtracks_for_long(pattern: str, longest: int) -> None:
    """Values made to almost match: repeated units of what patterns are made of, with an end that fits nowhere."""
    match = matcher(pattern)
    assert match is not None
    units = ("a", "a-", "a/", "a.", "/", "-", ".", "0", "0,", "a:", ":", "_", " ", "A", "a1")
    openings = ("", "https://", "s3://bucket/", "arn:aws:sagemaker:us-east-1:123456789012:x/")
    start = time.process_time()
    for opening in openings:
        for unit in units:
            match(opening + (unit * longest)[: longest - len(opening) - 1] + "\x01")
    assert time.process_time() - start < 1


SCALARS = [
    (shape, member, name)
    for shape in (SAGEMAKER.shape_for(name) for name in SAGEMAKER.shape_names)
    if isinstance(shape, StructureShape)
    for name, member in shape.members.items()
    if member.type_name in ("string", "integer") and {"min", "max"} & set(member.metadata)
]


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(SCALARS), number=st.integers(-10, 10_000))
def test_every_limit_of_every_member_is_kept(case: tuple[StructureShape, Shape, str], number: int) -> None:
    shape, member, name = case
    check = Checks(Overlay()).check(shape)
    assert check is not None
    is_text = member.type_name == "string"
    value: Any = "a" * abs(number) if is_text else number
    size = abs(number) if is_text else number
    limits, found = member.metadata, []
    check({name: value}, "", found)
    path = f"at '{name[0].lower()}{name[1:]}' failed"
    noun = "length" if is_text else "value"
    words = [text for text in found if path in text]
    assert any(f"{noun} less than or equal to" in text for text in words) == (size > limits.get("max", size))
    assert any(f"{noun} greater than or equal to" in text for text in words) == (size < limits.get("min", size))
