"""Endpoint configurations and endpoints through boto3: made, shown, changed, listed, deleted, refused."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from modelyard.core.deployments.model import EndpointState, NewConfig, Variant
from modelyard.core.models.model import ModelContainer, NewModel
from tests.contract.dialects.sagemaker.conftest import ACCOUNT, HOLD, IMAGE, REGION, ROLE, Bench, model_request, variant
from tests.contract.dialects.sagemaker.refusals import refusal

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://b/k",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


def deploy(bench: Bench, name: str = "Live", **changes: Any) -> None:
    """A model, a configuration and an endpoint of one name."""
    bench.sm.create_model(**model_request(name))
    bench.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(name, **changes)])
    bench.sm.create_endpoint(EndpointName=name, EndpointConfigName=name)


def test_a_configuration_is_shown_as_it_came(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    asked: dict[str, Any] = {
        "EndpointConfigName": "Config",
        "ProductionVariants": [
            variant("m", "A", InitialVariantWeight=3.0, ContainerStartupHealthCheckTimeoutInSeconds=60),
            variant("m", "B", InitialInstanceCount=2, AcceleratorType="ml.eia1.medium"),
        ],
        "DataCaptureConfig": CAPTURE,
        "KmsKeyId": "key",
        "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://x/y"}},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["s-1"]},
    }
    made = bench.sm.create_endpoint_config(**asked, Tags=[{"Key": "a", "Value": "b"}])
    assert made["EndpointConfigArn"] == f"{ARN}endpoint-config/config"
    shown = bench.sm.describe_endpoint_config(EndpointConfigName="Config")
    asked["ProductionVariants"][1]["InitialVariantWeight"] = 1.0
    assert {name: shown[name] for name in asked} == asked
    assert (shown["EnableNetworkIsolation"], "Tags" in shown) == (False, False)
    config = bench.house.deployments.get_config("Config")
    assert config.variants == (
        Variant("A", "m", "ml.m5.large", 1, 3.0),
        Variant("B", "m", "ml.m5.large", 2, 1.0),
    )
    assert bench.sm.describe_endpoint_config(EndpointConfigName=config.id)["EndpointConfigName"] == "Config"


def test_a_configuration_may_name_a_model_by_its_id(bench: Bench) -> None:
    container = ModelContainer("modelyard/serving:1", "s3://modelyard-models/x/1/model.tar.gz")
    made = bench.house.models.create(NewModel("mlconnector", "us-east-1", (container,), {}, display_name="Ridge"))
    bench.sm.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant(made.id)])
    bench.sm.create_endpoint(EndpointName="e", EndpointConfigName="c")
    assert bench.house.deployments.get("e").target is not None


def test_a_model_must_exist_and_have_data(bench: Bench) -> None:
    ask = bench.sm.create_endpoint_config
    missing = refusal(ask, EndpointConfigName="c", ProductionVariants=[variant("No-Model")])
    assert missing == ("ValidationException", f'Could not find model "{ARN}model/no-model".')
    bench.sm.create_model(**model_request("Empty", PrimaryContainer={"Image": IMAGE}))
    empty = refusal(ask, EndpointConfigName="c", ProductionVariants=[variant("Empty")])
    assert empty == ("ValidationException", f'Could not find model data for model "{ARN}model/empty".')
    assert bench.sm.list_endpoint_configs()["EndpointConfigs"] == []


def test_a_serverless_variant_is_one_worker(bench: Bench) -> None:
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    deploy(bench, "s", InitialInstanceCount=None, InstanceType=None, ServerlessConfig=serverless)
    bench.controllers.serve_endpoint("s")
    [shown] = bench.sm.describe_endpoint(EndpointName="s")["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == shown["DesiredServerlessConfig"] == serverless
    assert "CurrentInstanceCount" not in shown


NULL = "failed to satisfy constraint: Member must not be null"
SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
POOL = [{"InstanceType": "ml.m5.large", "Priority": 1}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ModelName": None}, f"Value null at 'productionVariants.2.member.modelName' {NULL}"),
        ({"ModelName": None}, "Inference components"),
        ({"InitialInstanceCount": None}, f"'productionVariants.2.member.initialInstanceCount' {NULL}"),
        ({"InstanceType": None}, f"Value null at 'productionVariants.2.member.instanceType' {NULL}"),
        ({"InstanceType": None, "InitialInstanceCount": None}, "2 validation errors detected: "),
        ({"InstanceType": None, "InitialInstanceCount": None, "InstancePools": POOL}, "initialInstanceCount"),
        ({"ServerlessConfig": SERVERLESS}, "ServerlessConfig cannot be given together"),
        ({"InstanceType": "ml.none"}, "Value 'ml.none' at 'productionVariants.2.member.instanceType'"),
        ({"InitialInstanceCount": 0}, "Value '0' at 'productionVariants.2.member.initialInstanceCount'"),
        ({"InitialVariantWeight": -1.0}, "at 'productionVariants.2.member.initialVariantWeight'"),
        ({"ModelName": "bad_name"}, "Value 'bad_name' at 'productionVariants.2.member.modelName' failed to satisfy"),
        ({"VariantName": "First"}, "variant names must be unique"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(untouched: Bench, changes: dict[str, Any], words: str) -> None:
    variants = [variant("m", "First"), {**variant("m", "Second"), **changes}]
    variants[1] = {name: value for name, value in variants[1].items() if value is not None}
    code, message = refusal(untouched.raw.create_endpoint_config, EndpointConfigName="c", ProductionVariants=variants)
    assert code == "ValidationException"
    assert words in message
    assert untouched.sm.list_endpoint_configs()["EndpointConfigs"] == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            {"ProductionVariants": []},
            "Value '[]' at 'productionVariants' failed to satisfy constraint: Member must have",
        ),
        ({"ProductionVariants": None}, "Value null at 'productionVariants'"),
        ({"EndpointConfigName": "a b"}, "Value 'a b' at 'endpointConfigName'"),
        ({"EndpointConfigName": None}, "Value null at 'endpointConfigName'"),
        ({"DataCaptureConfig": CAPTURE | {"InitialSamplingPercentage": 101}}, "dataCaptureConfig.initialSamplingPerc"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(untouched: Bench, request_: dict[str, Any], words: str) -> None:
    asked = {"EndpointConfigName": "c", "ProductionVariants": [variant("m")]} | request_
    given = {name: value for name, value in asked.items() if value is not None}
    code, message = refusal(untouched.raw.create_endpoint_config, **given)
    assert code == "ValidationException"
    assert words in message
    assert untouched.sm.list_endpoint_configs()["EndpointConfigs"] == []


def test_too_many_instances_are_a_limit(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    variants = [variant("m", InitialInstanceCount=10_000)]
    code, _ = refusal(bench.sm.create_endpoint_config, EndpointConfigName="c", ProductionVariants=variants)
    assert code == "ResourceLimitExceeded"


def test_names_are_unique_in_any_letter_case(bench: Bench) -> None:
    deploy(bench, "Live")
    config = refusal(bench.sm.create_endpoint_config, EndpointConfigName="LIVE", ProductionVariants=[variant("Live")])
    words = "Cannot create already existing endpoint"
    assert config == ("ValidationException", f'{words} configuration "{ARN}endpoint-config/live".')
    endpoint = refusal(bench.sm.create_endpoint, EndpointName="LIVE", EndpointConfigName="Live")
    assert endpoint == ("ValidationException", f'{words} "{ARN}endpoint/live".')


def test_unknown_names(untouched: Bench) -> None:
    sm = untouched.sm
    config = ("ValidationException", f'Could not find endpoint configuration "{ARN}endpoint-config/no".')
    endpoint = ("ValidationException", f'Could not find endpoint "{ARN}endpoint/no".')
    assert refusal(sm.describe_endpoint_config, EndpointConfigName="no") == config
    assert refusal(sm.delete_endpoint_config, EndpointConfigName="no") == config
    assert refusal(sm.create_endpoint, EndpointName="e", EndpointConfigName="no") == config
    assert refusal(sm.describe_endpoint, EndpointName="No") == endpoint
    assert refusal(sm.delete_endpoint, EndpointName="no") == endpoint
    assert refusal(sm.update_endpoint, EndpointName="no", EndpointConfigName="no") == endpoint
    weights = [{"VariantName": "A", "DesiredWeight": 1.0}]
    ask = sm.update_endpoint_weights_and_capacities
    assert refusal(ask, EndpointName="no", DesiredWeightsAndCapacities=weights) == endpoint
    assert sm.list_endpoints()["Endpoints"] == []


def test_an_endpoint_goes_from_creating_to_in_service(patient: Bench) -> None:
    deploy(patient, "Live", InitialVariantWeight=2.0)
    [creating] = patient.sm.list_endpoints(StatusEquals="Creating")["Endpoints"]
    assert (creating["EndpointName"], creating["EndpointArn"]) == ("Live", f"{ARN}endpoint/live")
    serving = threading.Timer(0.3, lambda: patient.controllers.serve_endpoint("Live"))
    serving.start()
    before = time.monotonic()
    shown = patient.sm.describe_endpoint(EndpointName="Live")
    assert time.monotonic() - before < HOLD
    serving.join()
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "Live")
    [served] = shown["ProductionVariants"]
    [image] = served.pop("DeployedImages")
    assert image.pop("ResolutionTime")
    assert image == {"SpecifiedImage": IMAGE, "ResolvedImage": IMAGE}
    assert served == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 2.0,
        "DesiredWeight": 2.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert {"PendingDeploymentSummary", "FailureReason", "DataCaptureConfig"} & set(shown) == set()
    patient.sm.get_waiter("endpoint_in_service").wait(EndpointName="Live")


def test_a_failed_endpoint_says_why_and_can_only_be_deleted(bench: Bench) -> None:
    deploy(bench, "e")
    bench.controllers.put_endpoint("e", EndpointState.FAILED, failure_reason="y" * 2000)
    shown = bench.sm.describe_endpoint(EndpointName="e")
    assert (shown["EndpointStatus"], shown["FailureReason"]) == ("Failed", "y" * 1024)
    busy = ("ValidationException", f'Cannot update in-progress endpoint "{ARN}endpoint/e".')
    assert refusal(bench.sm.update_endpoint, EndpointName="e", EndpointConfigName="e") == busy
    bench.sm.delete_endpoint(EndpointName="e")


def test_a_deleted_endpoint_is_waited_for_until_it_is_gone(patient: Bench) -> None:
    deploy(patient, "e")
    patient.controllers.serve_endpoint("e")
    patient.sm.delete_endpoint(EndpointName="e")
    patient.sm.delete_endpoint(EndpointName="e")
    [deleting] = patient.sm.list_endpoints(StatusEquals="Deleting")["Endpoints"]
    assert deleting["EndpointStatus"] == "Deleting"
    gone = threading.Timer(0.3, lambda: patient.controllers.remove_endpoint("e"))
    gone.start()
    unknown = ("ValidationException", f'Could not find endpoint "{ARN}endpoint/e".')
    assert refusal(patient.sm.describe_endpoint, EndpointName="e") == unknown
    gone.join()
    patient.sm.get_waiter("endpoint_deleted").wait(EndpointName="e")


def test_an_update_shows_what_is_on_its_way(bench: Bench) -> None:
    deploy(bench, "e")
    bench.controllers.serve_endpoint("e")
    bench.sm.describe_endpoint(EndpointName="e")
    bench.sm.create_endpoint_config(
        EndpointConfigName="two", ProductionVariants=[variant("e", "B", InitialInstanceCount=3)]
    )
    assert bench.sm.update_endpoint(EndpointName="e", EndpointConfigName="two")["EndpointArn"] == f"{ARN}endpoint/e"
    busy = refusal(bench.sm.update_endpoint, EndpointName="e", EndpointConfigName="two")
    assert busy == ("ValidationException", f'Cannot update in-progress endpoint "{ARN}endpoint/e".')
    shown = bench.sm.describe_endpoint(EndpointName="e")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("Updating", "e")
    pending = shown["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "two"
    [coming] = pending["ProductionVariants"]
    assert (coming["VariantName"], coming["DesiredInstanceCount"], coming["InstanceType"]) == ("B", 3, "ml.m5.large")
    bench.controllers.serve_endpoint("e")
    shown = bench.sm.describe_endpoint(EndpointName="e")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "two")
    missing = refusal(bench.sm.update_endpoint, EndpointName="e", EndpointConfigName="none")
    assert missing[1] == f'Could not find endpoint configuration "{ARN}endpoint-config/none".'


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, (1.0, 1)),
        ({"RetainAllVariantProperties": True}, (5.0, 2)),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            (1.0, 2),
        ),
    ],
)
def test_an_update_keeps_weights_and_counts_when_asked(
    bench: Bench, request_: dict[str, Any], expected: tuple[float, int]
) -> None:
    deploy(bench, "e")
    bench.controllers.serve_endpoint("e")
    desired = [{"VariantName": "AllTraffic", "DesiredWeight": 5.0, "DesiredInstanceCount": 2}]
    bench.sm.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=desired)
    bench.controllers.serve_endpoint("e")
    [now] = bench.sm.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert (now["CurrentWeight"], now["DesiredInstanceCount"]) == (5.0, 2)
    bench.sm.create_endpoint_config(EndpointConfigName="two", ProductionVariants=[variant("e")])
    bench.sm.update_endpoint(EndpointName="e", EndpointConfigName="two", **request_)
    target = bench.house.deployments.get("e").target
    assert target is not None
    assert (target.variants[0].weight, target.variants[0].count) == expected


def test_the_deployment_configuration_is_shown_and_kept_when_asked(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    for name in ("one", "two"):
        bench.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("m")])
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}
    config = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    bench.sm.create_endpoint(EndpointName="e", EndpointConfigName="one", DeploymentConfig=config)
    bench.controllers.serve_endpoint("e")
    assert bench.sm.describe_endpoint(EndpointName="e")["LastDeploymentConfig"] == config
    for retain in (True, False):
        bench.sm.update_endpoint(EndpointName="e", EndpointConfigName="two", RetainDeploymentConfig=retain)
        bench.controllers.serve_endpoint("e")
        assert ("LastDeploymentConfig" in bench.sm.describe_endpoint(EndpointName="e")) is retain


def test_weights_of_an_unknown_variant_or_none_at_all_are_refused(bench: Bench) -> None:
    deploy(bench, "e")
    bench.controllers.serve_endpoint("e")
    ask = bench.raw.update_endpoint_weights_and_capacities
    for desired, words in (
        ([{"VariantName": "Other", "DesiredWeight": 1.0}], "Other"),
        ([{"VariantName": "AllTraffic", "DesiredWeight": 0.0}], "weight above 0"),
        ([{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}], "at least one instance"),
        ([], "Value '[]' at 'desiredWeightsAndCapacities'"),
        ([{"DesiredWeight": 1.0}], "Value null at 'desiredWeightsAndCapacities.1.member.variantName'"),
    ):
        code, message = refusal(ask, EndpointName="e", DesiredWeightsAndCapacities=desired)
        assert code == "ValidationException"
        assert words in message
    assert bench.sm.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"


def test_what_serves_outlives_its_model_and_configuration(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    bench.sm.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[variant("m")], DataCaptureConfig=CAPTURE
    )
    bench.sm.create_endpoint(EndpointName="e", EndpointConfigName="c")
    bench.controllers.serve_endpoint("e")
    capture = bench.sm.describe_endpoint(EndpointName="e")["DataCaptureConfig"]
    assert (capture["CaptureStatus"], capture["CurrentSamplingPercentage"]) == ("Stopped", 50)
    bench.sm.delete_model(ModelName="m")
    bench.sm.delete_endpoint_config(EndpointConfigName="c")
    shown = bench.sm.describe_endpoint(EndpointName="e")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "c")
    assert "DataCaptureConfig" not in shown


def test_lists_filter_sort_and_page(bench: Bench) -> None:
    for name in ("beta", "Alpha", "gamma"):
        deploy(bench, name)
    bench.controllers.serve_endpoint("Alpha")
    bench.controllers.put_endpoint("beta", EndpointState.STARTING)
    bench.controllers.put_endpoint("gamma", EndpointState.FAILED, failure_reason="no")

    def names(**request: Any) -> list[str]:
        return [entry["EndpointName"] for entry in bench.sm.list_endpoints(**request)["Endpoints"]]

    assert names() == ["gamma", "Alpha", "beta"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["Alpha", "beta", "gamma"]
    assert names(SortBy="Status", SortOrder="Ascending") == ["beta", "gamma", "Alpha"]
    assert names(StatusEquals="InService") == ["Alpha"]
    assert names(StatusEquals="OutOfService") == []
    assert names(NameContains="a", MaxResults=100) == ["gamma", "Alpha", "beta"]
    made = bench.sm.describe_endpoint(EndpointName="Alpha")["CreationTime"]
    assert set(names(CreationTimeAfter=made.replace(microsecond=0))) >= {"gamma", "Alpha"}
    assert names(LastModifiedTimeAfter=made.replace(year=2999)) == []
    paginator = bench.sm.get_paginator("list_endpoints")
    pages = paginator.paginate(SortBy="Status", SortOrder="Descending", MaxResults=1)
    assert [entry["EndpointName"] for page in pages for entry in page["Endpoints"]] == ["Alpha", "gamma", "beta"]
    configs = bench.sm.get_paginator("list_endpoint_configs").paginate(MaxResults=2)
    assert [c["EndpointConfigName"] for page in configs for c in page["EndpointConfigs"]] == ["gamma", "Alpha", "beta"]


def test_a_configuration_of_another_door_is_shown_by_what_the_core_knows(bench: Bench) -> None:
    bench.sm.create_model(**model_request("m"))
    made = bench.house.deployments.create_config(
        NewConfig("dep-5678", "mlconnector", "us-east-1", (Variant("AllTraffic", "m"),), {"own": 1})
    )
    bench.house.deployments.create("dep-5678", made.name, "mlconnector", "us-east-1", {})
    shown = bench.sm.describe_endpoint_config(EndpointConfigName="dep-5678")
    assert shown["ProductionVariants"] == [variant("m", InitialVariantWeight=1.0)]
    assert bench.sm.list_endpoints()["Endpoints"][0]["EndpointArn"].endswith("us-east-1:123456789012:endpoint/dep-5678")
    assert bench.sm.describe_endpoint(EndpointName="dep-5678")["EndpointStatus"] == "Creating"
    assert ROLE not in str(shown)
