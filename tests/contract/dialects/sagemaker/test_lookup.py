"""Each noun is found by its id as well as by its name, the id first (one core: what other doors know it by)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelyard.base.errors import NotFound
from tests.contract.dialects.sagemaker.conftest import (
    ROLE,
    Bench,
    model_request,
    training_request,
    variant,
)
from tests.contract.dialects.sagemaker.refusals import refusal

NOUNS = {
    "training job": ("TrainingJobName", "training_job"),
    "model": ("ModelName", "model"),
    "endpoint configuration": ("EndpointConfigName", "endpoint_config"),
    "endpoint": ("EndpointName", "endpoint"),
    "notebook": ("NotebookInstanceName", "notebook_instance"),
    "lifecycle configuration": ("NotebookInstanceLifecycleConfigName", "notebook_instance_lifecycle_config"),
}


def make(bench: Bench, noun: str, name: str) -> str:
    """One of them under that name; its id."""
    sm, house = bench.sm, bench.house
    makers: dict[str, Callable[[], Any]] = {
        "training job": lambda: sm.create_training_job(**training_request(name)),
        "model": lambda: sm.create_model(**model_request(name)),
        "endpoint configuration": lambda: sm.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant(f"{name}-m")]
        ),
        "endpoint": lambda: sm.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-c"),
        "notebook": lambda: sm.create_notebook_instance(
            NotebookInstanceName=name, InstanceType="ml.t3.medium", RoleArn=ROLE
        ),
        "lifecycle configuration": lambda: sm.create_notebook_instance_lifecycle_config(
            NotebookInstanceLifecycleConfigName=name
        ),
    }
    if noun == "endpoint configuration":
        make(bench, "model", f"{name}-m")
    if noun == "endpoint":
        make(bench, "endpoint configuration", f"{name}-c")
    makers[noun]()
    readers = {
        "training job": house.jobs.get,
        "model": house.models.get,
        "endpoint configuration": house.deployments.get_config,
        "endpoint": house.deployments.get,
        "notebook": house.notebooks.get,
        "lifecycle configuration": house.lifecycle_configs.get,
    }
    return readers[noun](name).id


def ask(bench: Bench, verb: str, noun: str, name: str) -> Any:
    member, operation = NOUNS[noun]
    answer = getattr(bench.sm, f"{verb}_{operation}")(**{member: name})
    answer.pop("ResponseMetadata")
    return answer


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_described_by_its_id_as_by_its_name(bench: Bench, noun: str) -> None:
    found = make(bench, noun, "first")
    assert ask(bench, "describe", noun, found) == ask(bench, "describe", noun, "first")
    assert ask(bench, "describe", noun, found)[NOUNS[noun][0]] == "first", "it is shown under its name"


@pytest.mark.parametrize("noun", NOUNS)
def test_an_id_goes_before_a_name(bench: Bench, noun: str) -> None:
    found = make(bench, noun, "first")
    make(bench, noun, found)
    assert ask(bench, "describe", noun, found)[NOUNS[noun][0]] == "first"


@pytest.mark.parametrize("noun", ["model", "endpoint configuration", "endpoint", "lifecycle configuration"])
def test_a_noun_is_deleted_by_its_id(bench: Bench, noun: str) -> None:
    found = make(bench, noun, "first")
    if noun == "endpoint":
        bench.controllers.serve_endpoint("first")
    ask(bench, "delete", noun, found)
    if noun == "endpoint":
        bench.controllers.remove_endpoint("first")
    with pytest.raises(bench.sm.exceptions.ClientError):
        ask(bench, "describe", noun, "first")


def test_a_job_is_stopped_and_deleted_by_its_id(bench: Bench) -> None:
    found = make(bench, "training job", "first")
    ask(bench, "stop", "training job", found)
    assert bench.house.jobs.get("first").stop_requested
    make(bench, "training job", "second")
    done = bench.controllers.complete_job("second").id
    ask(bench, "delete", "training job", done)
    with pytest.raises(NotFound):
        bench.house.jobs.get("second")


def test_an_endpoint_is_made_updated_and_weighed_by_ids(bench: Bench) -> None:
    sm = bench.sm
    make(bench, "model", "m")
    for name in ("c1", "c2"):
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("m", "A")])
    first, second = (bench.house.deployments.get_config(name).id for name in ("c1", "c2"))
    sm.create_endpoint(EndpointName="e", EndpointConfigName=first)
    found = bench.house.deployments.get("e").id
    bench.controllers.serve_endpoint("e")
    assert sm.describe_endpoint(EndpointName=found)["EndpointConfigName"] == "c1"
    sm.update_endpoint(EndpointName=found, EndpointConfigName=second)
    bench.controllers.serve_endpoint("e")
    assert sm.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"
    weights = [{"VariantName": "A", "DesiredWeight": 3.0}]
    assert sm.update_endpoint_weights_and_capacities(EndpointName=found, DesiredWeightsAndCapacities=weights)


def test_an_unknown_id_is_refused_as_an_unknown_name(bench: Bench) -> None:
    unknown = "0b3f9b3e-1111-4222-8333-444444444444"
    for member, operation in NOUNS.values():
        of_id, of_name = (
            refusal(getattr(bench.sm, f"describe_{operation}"), **{member: asked}) for asked in (unknown, "unknown")
        )
        assert of_id[0] == of_name[0]
        assert of_id[1].replace(unknown, "unknown") == of_name[1]
