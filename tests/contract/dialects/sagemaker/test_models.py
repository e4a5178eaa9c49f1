"""Models through boto3: what is made, shown, listed, deleted, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.core.models.model import ModelContainer, NewModel
from tests.contract.dialects.sagemaker.conftest import ACCOUNT, IMAGE, REGION, ROLE, Bench, client, model_request
from tests.contract.dialects.sagemaker.refusals import refusal

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/"


def test_a_model_is_shown_as_it_came(bench: Bench) -> None:
    network = {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]}, "EnableNetworkIsolation": True}
    made = bench.sm.create_model(**model_request("Iris", **network, Tags=[{"Key": "a", "Value": "b"}]))
    assert made["ModelArn"] == f"{ARN}iris"
    shown = bench.sm.describe_model(ModelName="Iris")
    asked = model_request("Iris", **network)
    asked["PrimaryContainer"] = asked["PrimaryContainer"] | {"Mode": "SingleModel"}
    assert {name: shown[name] for name in asked} == asked
    assert (shown["ModelArn"], "Tags" in shown) == (f"{ARN}iris", False)
    model = bench.house.models.get("Iris")
    assert model.containers == (ModelContainer(IMAGE, "s3://results/model.tar.gz", {"A": "1"}),)
    assert bench.sm.describe_model(ModelName=model.id)["ModelName"] == "Iris"
    assert bench.sm.list_tags(ResourceArn=made["ModelArn"])["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_pipeline_and_a_multi_model_are_kept(bench: Bench) -> None:
    steps = [{"Image": IMAGE, "ContainerHostname": name, "ModelDataUrl": f"s3://b/{name}.tar.gz"} for name in "ab"]
    serial = {"InferenceExecutionConfig": {"Mode": "Serial"}}
    bench.sm.create_model(**model_request("pipe", PrimaryContainer=None, Containers=steps, **serial))
    shown = bench.sm.describe_model(ModelName="pipe")
    assert shown["Containers"] == [step | {"Mode": "SingleModel"} for step in steps]
    assert "PrimaryContainer" not in shown
    many = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://b/many/"}
    bench.sm.create_model(**model_request("many", PrimaryContainer=many))
    assert bench.house.models.get("many").containers[0].mode == "multi"


def test_model_data_source_of_one_archive_is_an_artifact(bench: Bench) -> None:
    source = {"S3Uri": "s3://b/m.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}}
    bench.sm.create_model(**model_request("m", PrimaryContainer=container))
    assert bench.house.models.get("m").containers[0].artifact == "s3://b/m.tar.gz"


def test_names_are_unique_in_any_letter_case(bench: Bench) -> None:
    bench.sm.create_model(**model_request("Iris"))
    for name in ("Iris", "IRIS"):
        answer = refusal(bench.sm.create_model, **model_request(name))
        assert answer == ("ValidationException", f'Cannot create already existing model "{ARN}iris".')
    unknown = ("ValidationException", f'Could not find model "{ARN}iris".')
    assert refusal(bench.sm.describe_model, ModelName="IRIS") == unknown
    assert len(bench.sm.list_models()["Models"]) == 1


def test_a_deleted_model_is_gone(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    bench.sm.delete_model(ModelName="m")
    unknown = ("ValidationException", f'Could not find model "{ARN}m".')
    for ask in (bench.sm.describe_model, bench.sm.delete_model):
        assert refusal(ask, ModelName="m") == unknown


def test_lists_filter_sort_and_page(bench: Bench) -> None:
    for name in ("beta", "Alpha", "gamma"):
        bench.sm.create_model(**model_request(name))

    def names(**request: Any) -> list[str]:
        return [entry["ModelName"] for entry in bench.sm.list_models(**request)["Models"]]

    assert names() == ["gamma", "Alpha", "beta"]
    assert names(SortOrder="Ascending") == ["beta", "Alpha", "gamma"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["Alpha", "beta", "gamma"]
    assert names(NameContains="ph") == ["Alpha"]
    made = bench.sm.describe_model(ModelName="Alpha")["CreationTime"]
    assert set(names(CreationTimeAfter=made.replace(microsecond=0))) >= {"gamma", "Alpha"}
    assert names(CreationTimeBefore=made.replace(year=2000)) == []
    paginator = bench.sm.get_paginator("list_models")
    paged = [entry["ModelName"] for page in paginator.paginate(MaxResults=1) for entry in page["Models"]]
    assert paged == ["gamma", "Alpha", "beta"]


def test_a_page_is_of_ten_when_nothing_is_said(bench: Bench) -> None:
    for number in range(12):
        bench.sm.create_model(**model_request(f"m{number}"))
    first = bench.sm.list_models()
    assert len(first["Models"]) == 10
    assert [entry["ModelName"] for entry in bench.sm.list_models(NextToken=first["NextToken"])["Models"]] == [
        "m1",
        "m0",
    ]
    other = refusal(bench.sm.list_models, NextToken=first["NextToken"], SortBy="Name")
    assert other[0] == "ValidationException"


def test_arns_have_the_region_that_the_model_was_made_in(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    elsewhere = client(bench.url, bench.key, region="us-west-2")
    assert elsewhere.describe_model(ModelName="m")["ModelArn"] == f"{ARN}m"
    assert "us-west-2" in refusal(elsewhere.describe_model, ModelName="none")[1]


SOURCE = {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ExecutionRoleArn": None}, "Value null at 'executionRoleArn' failed to satisfy constraint: Member must not"),
        ({"PrimaryContainer": None}, "Value null at 'primaryContainer'"),
        ({"PrimaryContainer": {"ModelDataUrl": "s3://b/k"}}, "Value null at 'primaryContainer.image'"),
        ({"Containers": [{"Image": IMAGE}]}, "cannot be given together"),
        ({"PrimaryContainer": None, "Containers": [{"Image": IMAGE}, {}]}, "Value null at 'containers.2.member.image'"),
        (
            {
                "PrimaryContainer": None,
                "Containers": [{"Image": IMAGE, "ContainerHostname": "a"}, {"Image": IMAGE, "ContainerHostname": "a"}],
            },
            "ContainerHostname must be unique",
        ),
        ({"PrimaryContainer": {"ModelPackageName": "pack"}}, "ModelPackageName 'pack'"),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataSource": {"S3DataSource": SOURCE}}}, "ModelDataSource"),
        (
            {
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataUrl": "s3://b/k",
                    "ModelDataSource": {"S3DataSource": SOURCE},
                }
            },
            "ModelDataUrl and ModelDataSource",
        ),
        (
            {
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "AdditionalModelDataSources": [{"ChannelName": "a", "S3DataSource": SOURCE}],
                }
            },
            "AdditionalModelDataSources",
        ),
        ({"PrimaryContainer": {"Image": "a b"}}, "Value 'a b' at 'primaryContainer.image'"),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "ftp://x"}}, "at 'primaryContainer.modelDataUrl'"),
        ({"PrimaryContainer": {"Image": IMAGE, "Environment": {"1": "x"}}}, "primaryContainer.environment"),
        (
            {"ModelName": "bad_name"},
            "Value 'bad_name' at 'modelName' failed to satisfy constraint: Member must satisfy",
        ),
        ({"ModelName": "x" * 64}, "Member must have length less than or equal to 63"),
        ({"ExecutionRoleArn": "role"}, "'executionRoleArn' failed to satisfy constraint"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_nothing_is_made(
    untouched: Bench, changes: dict[str, Any], words: str
) -> None:
    code, message = refusal(untouched.raw.create_model, **model_request("m", **changes))
    assert code == "ValidationException"
    assert words in message
    assert untouched.sm.list_models()["Models"] == []


def test_two_broken_constraints_are_told_together(untouched: Bench) -> None:
    code, message = refusal(untouched.raw.create_model, **model_request("bad_name", ExecutionRoleArn=None))
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    assert "executionRoleArn" in message
    assert "modelName" in message


def test_a_model_of_another_door_is_shown_by_what_the_core_knows(bench: Bench) -> None:
    container = ModelContainer("modelyard/serving:1", "s3://modelyard-models/x/1/model.tar.gz", {"A": "1"})
    made = bench.house.models.create(
        NewModel("mlconnector", "us-east-1", (container,), {"own": 1}, display_name="Ridge")
    )
    assert [entry["ModelName"] for entry in bench.sm.list_models()["Models"]] == [f"Ridge-{made.id[:8]}"]
    shown = bench.sm.describe_model(ModelName=made.id)
    assert shown["PrimaryContainer"] == {
        "Image": "modelyard/serving:1",
        "ModelDataUrl": "s3://modelyard-models/x/1/model.tar.gz",
        "Environment": {"A": "1"},
        "Mode": "SingleModel",
    }
    assert shown["ExecutionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/ModelyardRole"
    assert ROLE not in str(shown)
    bench.sm.delete_model(ModelName=made.name)
    assert bench.sm.list_models()["Models"] == []
