"""Notebook instances and their lifecycle configurations through boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import WaiterError

from modelyard.core.notebooks.model import NotebookState
from tests.contract.dialects.sagemaker.conftest import ACCOUNT, REGION, ROLE, Bench
from tests.contract.dialects.sagemaker.refusals import refusal

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:notebook-instance/"
HOOK_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:notebook-instance-lifecycle-config/"


def request(name: str = "Book", **changes: Any) -> dict[str, Any]:
    return {"NotebookInstanceName": name, "InstanceType": "ml.t3.medium", "RoleArn": ROLE, **changes}


def hook(name: str = "Setup", **scripts: Any) -> dict[str, Any]:
    return {"NotebookInstanceLifecycleConfigName": name, **scripts}


def test_a_notebook_fails_and_says_what_is_missing(bench: Bench) -> None:
    made = bench.sm.create_notebook_instance(**request())
    assert made["NotebookInstanceArn"] == f"{ARN}Book"
    shown = bench.sm.describe_notebook_instance(NotebookInstanceName="Book")
    assert shown["NotebookInstanceStatus"] == "Failed"
    assert "JupyterLab" in shown["FailureReason"]
    assert (shown["DirectInternetAccess"], shown["RootAccess"], shown["VolumeSizeInGB"]) == ("Enabled", "Enabled", 5)
    with pytest.raises(WaiterError):
        bench.sm.get_waiter("notebook_instance_in_service").wait(NotebookInstanceName="Book")


def test_a_notebook_is_shown_as_it_was_asked_for(bench: Bench) -> None:
    bench.sm.create_notebook_instance_lifecycle_config(**hook())
    asked = {
        "SubnetId": "subnet-1",
        "KmsKeyId": "key",
        "DirectInternetAccess": "Disabled",
        "VolumeSizeInGB": 20,
        "DefaultCodeRepository": "https://host/repo",
        "AdditionalCodeRepositories": ["https://host/more"],
        "RootAccess": "Disabled",
        "PlatformIdentifier": "notebook-al2-v2",
        "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": "2"},
    }
    bench.sm.create_notebook_instance(**request(**asked, SecurityGroupIds=["sg-1"], LifecycleConfigName="Setup"))
    shown = bench.sm.describe_notebook_instance(NotebookInstanceName="Book")
    assert {name: shown[name] for name in asked} == asked
    assert (shown["SecurityGroups"], shown["NotebookInstanceLifecycleConfigName"]) == (["sg-1"], "Setup")
    assert "SecurityGroupIds" not in shown
    [summary] = bench.sm.list_notebook_instances()["NotebookInstances"]
    assert summary["NotebookInstanceLifecycleConfigName"] == "Setup"
    assert summary["AdditionalCodeRepositories"] == ["https://host/more"]


def test_names_are_taken_once_and_unknown_ones_are_told(bench: Bench) -> None:
    bench.sm.create_notebook_instance(**request())
    duplicate = refusal(bench.sm.create_notebook_instance, **request())
    assert duplicate == ("ValidationException", f"Cannot create a duplicate Notebook Instance ({ARN}Book)")
    for name in ("describe", "start", "stop", "update", "delete"):
        ask = getattr(bench.sm, f"{name}_notebook_instance")
        assert refusal(ask, NotebookInstanceName="no") == ("ValidationException", "RecordNotFound")
    hookless = refusal(bench.sm.create_notebook_instance, **request("Other", LifecycleConfigName="none"))
    assert "does not exist" in hookless[1]
    assert len(bench.sm.list_notebook_instances()["NotebookInstances"]) == 1


def test_transitions_are_refused_in_the_words_of_the_service(bench: Bench) -> None:
    bench.sm.create_notebook_instance(**request())
    book = {"NotebookInstanceName": "Book"}

    def words(status: str, allowed: str, target: str) -> tuple[str, str]:
        text = f"Status ({status}) not in ([{allowed}]). Unable to transition to ({target}) for Notebook Instance "
        return "ValidationException", f"{text}({ARN}Book)."

    assert refusal(bench.sm.stop_notebook_instance, **book) == words("Failed", "InService", "Stopping")
    assert refusal(bench.sm.start_notebook_instance, **book) == words("Failed", "Stopped", "Pending")
    bench.controllers.put_notebook("Book", NotebookState.IN_SERVICE)
    deleting = words("InService", "Stopped, Failed", "Deleting")
    assert refusal(bench.sm.delete_notebook_instance, **book) == deleting
    updating = refusal(bench.sm.update_notebook_instance, **book, InstanceType="ml.t3.large")
    assert updating == words("InService", "Stopped", "Updating")
    bench.sm.stop_notebook_instance(**book)
    assert bench.sm.describe_notebook_instance(**book)["NotebookInstanceStatus"] == "Stopped"
    bench.sm.delete_notebook_instance(**book)
    assert bench.sm.list_notebook_instances()["NotebookInstances"] == []


def test_an_update_changes_what_it_names_and_takes_away_what_it_says(bench: Bench) -> None:
    bench.sm.create_notebook_instance_lifecycle_config(**hook())
    bench.sm.create_notebook_instance(
        **request(LifecycleConfigName="Setup", DefaultCodeRepository="https://host/repo", VolumeSizeInGB=20)
    )
    bench.controllers.put_notebook("Book", NotebookState.STOPPED)
    book = {"NotebookInstanceName": "Book"}
    bench.sm.update_notebook_instance(**book, InstanceType="ml.t3.large", DisassociateLifecycleConfig=True)
    shown = bench.sm.describe_notebook_instance(**book)
    assert (shown["InstanceType"], shown["VolumeSizeInGB"]) == ("ml.t3.large", 20)
    assert "NotebookInstanceLifecycleConfigName" not in shown
    assert shown["DefaultCodeRepository"] == "https://host/repo"
    assert shown["LastModifiedTime"] >= shown["CreationTime"]
    both = {"LifecycleConfigName": "Setup", "DisassociateLifecycleConfig": True}
    assert refusal(bench.sm.update_notebook_instance, **book, **both)[0] == "ValidationException"
    assert "does not exist" in refusal(bench.sm.update_notebook_instance, **book, LifecycleConfigName="none")[1]


def test_lists_filter_sort_and_page(bench: Bench) -> None:
    bench.sm.create_notebook_instance_lifecycle_config(**hook())
    bench.sm.create_notebook_instance(**request("b", LifecycleConfigName="Setup"))
    bench.sm.create_notebook_instance(**request("c", DefaultCodeRepository="https://host/repo"))
    bench.sm.create_notebook_instance(**request("a", AdditionalCodeRepositories=["https://host/x"]))
    bench.controllers.put_notebook("b", NotebookState.STOPPED)

    def names(**query: Any) -> list[str]:
        return [
            book["NotebookInstanceName"] for book in bench.raw.list_notebook_instances(**query)["NotebookInstances"]
        ]

    assert names() == ["a", "b", "c"]
    assert names(SortOrder="Descending") == ["c", "b", "a"]
    assert names(SortBy="CreationTime") == ["b", "c", "a"]
    assert names(SortBy="LastModifiedTime", SortOrder="Descending") == ["a", "c", "b"]
    assert names(SortBy="Status") == ["a", "c", "b"] or names(SortBy="Status") == ["c", "a", "b"]
    assert names(StatusEquals="Stopped") == names(NotebookInstanceLifecycleConfigNameContains="etup") == ["b"]
    assert names(DefaultCodeRepositoryContains="repo") == ["c"]
    assert names(AdditionalCodeRepositoryEquals="https://host/x") == ["a"]
    assert names(NameContains="c", MaxResults=1) == ["c"]
    pages = bench.sm.get_paginator("list_notebook_instances").paginate(MaxResults=1)
    assert [book["NotebookInstanceName"] for page in pages for book in page["NotebookInstances"]] == ["a", "b", "c"]
    assert "Value 'Size' at 'sortBy'" in refusal(bench.raw.list_notebook_instances, SortBy="Size")[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"InstanceType": "ml.none"}, "Value 'ml.none' at 'instanceType'"),
        ({"RoleArn": "x"}, "'roleArn'"),
        ({"VolumeSizeInGB": 4}, "Member must have value greater than or equal to 5"),
        ({"NotebookInstanceName": "a_b"}, "Value 'a_b' at 'notebookInstanceName'"),
        ({"AdditionalCodeRepositories": ["https://a/b"] * 4}, "additionalCodeRepositories"),
        ({"DirectInternetAccess": "Maybe"}, "Value 'Maybe' at 'directInternetAccess'"),
        ({"SecurityGroupIds": ["a"] * 6}, "securityGroupIds"),
    ],
)
def test_a_request_that_cannot_be_is_refused(untouched: Bench, changes: dict[str, Any], words: str) -> None:
    code, message = refusal(untouched.raw.create_notebook_instance, **request(**changes))
    assert code == "ValidationException"
    assert words in message
    assert untouched.sm.list_notebook_instances()["NotebookInstances"] == []


def test_a_lifecycle_configuration_lives_and_goes(bench: Bench) -> None:
    sm, scripts = bench.sm, {"OnStart": [{"Content": "ZWNobyBhCg=="}]}
    made = sm.create_notebook_instance_lifecycle_config(**hook(**scripts))
    assert made["NotebookInstanceLifecycleConfigArn"] == f"{HOOK_ARN}Setup"
    shown = sm.describe_notebook_instance_lifecycle_config(**hook())
    assert shown["OnStart"] == scripts["OnStart"]
    assert "OnCreate" not in shown
    taken = refusal(sm.create_notebook_instance_lifecycle_config, **hook())
    assert "already exists" in taken[1]
    sm.update_notebook_instance_lifecycle_config(**hook(OnCreate=[{"Content": "Yg=="}]))
    shown = sm.describe_notebook_instance_lifecycle_config(**hook())
    assert (shown["OnCreate"], "OnStart" in shown) == ([{"Content": "Yg=="}], False)
    assert shown["LastModifiedTime"] >= shown["CreationTime"]
    sm.create_notebook_instance_lifecycle_config(**hook("another"))
    pages = sm.get_paginator("list_notebook_instance_lifecycle_configs").paginate(MaxResults=1, SortBy="Name")
    listed = [c for page in pages for c in page["NotebookInstanceLifecycleConfigs"]]
    assert [config["NotebookInstanceLifecycleConfigName"] for config in listed] == ["Setup", "another"]
    sm.delete_notebook_instance_lifecycle_config(**hook())
    for ask in ("describe", "update", "delete"):
        unknown = refusal(getattr(sm, f"{ask}_notebook_instance_lifecycle_config"), **hook())
        assert unknown[0] == "ValidationException"
        assert "Unable to describe Notebook Instance Lifecycle Config" in unknown[1]
