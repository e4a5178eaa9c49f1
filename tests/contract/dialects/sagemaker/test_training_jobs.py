"""Training jobs through boto3: what is made, shown, listed, stopped, deleted, and what is refused."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelyard.core.jobs.model import Channel, JobSpec, JobState, Metric, NewJob, Phase, Resources
from modelyard.core.jobs.table import Result
from tests.contract.dialects.sagemaker.conftest import (
    ACCOUNT,
    HOLD,
    IMAGE,
    REGION,
    ROLE,
    Bench,
    put_object,
    training_request,
)
from tests.contract.dialects.sagemaker.refusals import refusal

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/"


def channel(name: str = "train", **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://inputs/iris/", "S3DataDistributionType": "ShardedByS3Key"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **changes}


FULL: dict[str, Any] = {
    "HyperParameters": {"C": "0.5", "sagemaker_program": '"train.py"'},
    "AlgorithmSpecification": {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "FastFile",
        "MetricDefinitions": [{"Name": "score", "Regex": "score=(.*)"}],
        "EnableSageMakerMetricsTimeSeries": True,
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", "true"],
    },
    "InputDataConfig": [
        channel(
            ContentType="text/csv",
            CompressionType="Gzip",
            RecordWrapperType="RecordIO",
            InputMode="Pipe",
            ShuffleConfig={"Seed": 7},
        )
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://results/out", "KmsKeyId": "key", "CompressionType": "NONE"},
    "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 5, "VolumeKmsKeyId": "k"},
    "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "EnableManagedSpotTraining": True,
    "CheckpointConfig": {"S3Uri": "s3://results/checkpoints", "LocalPath": "/opt/ml/checkpoints/x"},
    "DebugHookConfig": {"S3OutputPath": "s3://results/debug"},
    "Environment": {"A": "b"},
    "RetryStrategy": {"MaximumRetryAttempts": 3},
    "ExperimentConfig": {"ExperimentName": "e"},
    "RemoteDebugConfig": {"EnableRemoteDebug": False},
}


def test_a_job_is_made_as_asked_and_shown_as_it_came(bench: Bench) -> None:
    put_object(bench.house, "inputs", "iris/a.csv")
    made = bench.sm.create_training_job(**training_request("Fit-1", **FULL, Tags=[{"Key": "a", "Value": "b"}]))
    assert made["TrainingJobArn"] == f"{ARN}Fit-1"
    job = bench.house.jobs.get("Fit-1")
    spec = job.spec
    assert (spec.image, spec.resources.cpus, spec.resources.instance_count) == (IMAGE, 4.0, 2)
    assert spec.resources.memory == 8 << 30
    assert spec.channels == (
        Channel(
            name="train",
            location="s3://inputs/iris/",
            mode="Pipe",
            distribution="sharded",
            compression="gzip",
            record_wrapper="RecordIO",
            content_type="text/csv",
            shuffle_seed=7,
        ),
    )
    assert (spec.output, spec.output_compressed) == ("s3://results/out", False)
    assert (spec.checkpoints, spec.checkpoints_path) == ("s3://results/checkpoints", "/opt/ml/checkpoints/x")
    assert (spec.entrypoint, spec.arguments) == (("/bin/bash",), ("-c", "true"))
    assert (spec.max_runtime, spec.max_wait, spec.retries, spec.network) == (60, 90, 3, False)
    assert spec.principal is not None
    assert (spec.hyperparameters, spec.variables) == (FULL["HyperParameters"], {"A": "b"})
    assert [(metric.name, metric.pattern) for metric in spec.metrics] == [("score", "score=(.*)")]

    shown = bench.sm.describe_training_job(TrainingJobName="Fit-1")
    assert {name: shown[name] for name in FULL} == FULL
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"], shown["RoleArn"]) == ("InProgress", "Starting", ROLE)
    assert bench.sm.list_tags(ResourceArn=shown["TrainingJobArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    assert bench.sm.describe_training_job(TrainingJobName=job.id)["TrainingJobName"] == "Fit-1"


def test_a_plain_request_is_shown_with_what_clients_index(bench: Bench) -> None:
    config = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
    bench.sm.create_training_job(**training_request("fit", ResourceConfig=config, StoppingCondition={}))
    shown = bench.sm.describe_training_job(TrainingJobName="fit")
    assert shown["OutputDataConfig"] == {"S3OutputPath": "s3://results/out", "KmsKeyId": ""}
    assert shown["StoppingCondition"]["MaxRuntimeInSeconds"] == 86_400
    assert shown["ResourceConfig"] == config | {"VolumeSizeInGB": 30}
    assert shown["LastModifiedTime"] >= shown["CreationTime"]
    assert [entry["StatusMessage"] for entry in shown["SecondaryStatusTransitions"]] != [""]
    for name in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"):
        assert shown[name] is False
    absent = {"VpcConfig", "HyperParameters", "InputDataConfig", "CheckpointConfig", "FailureReason", "ModelArtifacts"}
    absent |= {"TrainingStartTime", "TrainingEndTime", "TrainingTimeInSeconds", "FinalMetricDataList", "Environment"}
    assert absent & set(shown) == set()


def test_a_completed_job_shows_its_results(bench: Bench) -> None:
    bench.sm.create_training_job(**training_request("fit"))
    metrics = (Metric("score", 0.5, 1_700_000_000.25), Metric("score", 0.75, 1_700_000_001.5))
    bench.controllers.complete_job("fit", model_artifact="s3://results/out/fit/output/model.tar.gz", metrics=metrics)
    shown = bench.sm.describe_training_job(TrainingJobName="fit")
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"]) == ("Completed", "Completed")
    assert shown["ModelArtifacts"] == {"S3ModelArtifacts": "s3://results/out/fit/output/model.tar.gz"}
    assert shown["TrainingTimeInSeconds"] == shown["BillableTimeInSeconds"] == 1
    assert shown["CreationTime"] <= shown["TrainingStartTime"] <= shown["TrainingEndTime"]
    [final] = shown["FinalMetricDataList"]
    assert (final["MetricName"], final["Value"], final["Timestamp"].timestamp()) == ("score", 0.75, 1_700_000_001.5)
    statuses = [entry["Status"] for entry in shown["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Completed"]
    assert all("StatusMessage" in entry for entry in shown["SecondaryStatusTransitions"])
    [summary] = bench.sm.list_training_jobs()["TrainingJobSummaries"]
    assert summary["TrainingEndTime"] == shown["TrainingEndTime"]
    assert (summary["TrainingJobStatus"], summary["SecondaryStatus"]) == ("Completed", "Completed")


def test_a_failed_job_says_why_in_at_most_1024_characters(bench: Bench) -> None:
    bench.sm.create_training_job(**training_request("fit"))
    bench.controllers.fail_job("fit", "x" * 3000)
    shown = bench.sm.describe_training_job(TrainingJobName="fit")
    assert (shown["TrainingJobStatus"], shown["FailureReason"]) == ("Failed", "x" * 1024)


def test_an_image_that_nothing_answers_for_fails_at_once(bench: Bench) -> None:
    algorithm = {"TrainingImage": "example.com/own:1", "TrainingInputMode": "File"}
    bench.sm.create_training_job(**training_request("fit", AlgorithmSpecification=algorithm))
    shown = bench.sm.describe_training_job(TrainingJobName="fit")
    assert shown["TrainingJobStatus"] == "Failed"
    assert "example.com/own:1" in shown["FailureReason"]


def test_a_second_job_of_the_name_is_refused(bench: Bench) -> None:
    bench.sm.create_training_job(**training_request("fit"))
    for name in ("fit", "FIT"):
        with pytest.raises(ClientError) as refused:
            bench.sm.create_training_job(**training_request(name))
        assert refused.value.response["Error"] == {
            "Code": "ResourceInUse",
            "Message": "Training job names must be unique within an AWS account and region, "
            f"and a training job with this name already exists ({ARN}{name})",
        }
    assert len(bench.sm.list_training_jobs()["TrainingJobSummaries"]) == 1


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job", "delete_training_job"])
def test_an_unknown_job(untouched: Bench, operation: str) -> None:
    ask = getattr(untouched.sm, operation)
    assert refusal(ask, TrainingJobName="none") == ("ValidationException", "Requested resource not found.")


def test_a_stop_is_asked_once_and_refused_of_an_ended_job(bench: Bench) -> None:
    bench.sm.create_training_job(**training_request("fit"))
    claim = bench.controllers.run_job("fit")
    bench.sm.stop_training_job(TrainingJobName="fit")
    bench.sm.stop_training_job(TrainingJobName="fit")
    [summary] = bench.sm.list_training_jobs(StatusEquals="Stopping")["TrainingJobSummaries"]
    assert summary["SecondaryStatus"] == "Stopping"
    busy = refusal(bench.sm.delete_training_job, TrainingJobName="fit")
    assert busy == ("ResourceInUse", "The request was rejected because the training job is in status Stopping.")
    bench.controllers.end_job(claim, JobState.STOPPED, Phase.MAX_RUNTIME_EXCEEDED, Result())
    shown = bench.sm.describe_training_job(TrainingJobName="fit")
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    late = refusal(bench.sm.stop_training_job, TrainingJobName="fit")
    assert late == ("ValidationException", "The request was rejected because the training job is in status Stopped.")
    bench.sm.delete_training_job(TrainingJobName="fit")
    assert bench.sm.list_training_jobs()["TrainingJobSummaries"] == []
    bench.sm.create_training_job(**training_request("fit"))


def test_the_first_describe_waits_for_the_end(patient: Bench) -> None:
    patient.sm.create_training_job(**training_request("fit"))
    ending = threading.Timer(0.3, lambda: patient.controllers.complete_job("fit"))
    ending.start()
    before = time.monotonic()
    assert patient.sm.describe_training_job(TrainingJobName="fit")["TrainingJobStatus"] == "Completed"
    assert time.monotonic() - before < HOLD
    ending.join()


def test_other_requests_go_on_while_many_describes_wait(patient: Bench) -> None:
    names = [f"fit-{number}" for number in range(24)]
    for name in names:
        patient.sm.create_training_job(**training_request(name))
    waiting = [threading.Thread(target=patient.sm.describe_training_job, kwargs={"TrainingJobName": n}) for n in names]
    for thread in waiting:
        thread.start()
    time.sleep(0.3)
    before = time.monotonic()
    patient.sm.create_training_job(**training_request("one-more"))
    patient.sm.list_training_jobs()
    assert time.monotonic() - before < HOLD / 2
    for thread in waiting:
        thread.join()


def test_lists_filter_sort_and_page(bench: Bench) -> None:
    for name in ("b-one", "a-two", "c-three", "d-four"):
        bench.sm.create_training_job(**training_request(name))
    bench.controllers.complete_job("a-two")
    bench.controllers.fail_job("b-one", "no")

    def names(**request: Any) -> list[str]:
        return [entry["TrainingJobName"] for entry in bench.sm.list_training_jobs(**request)["TrainingJobSummaries"]]

    assert names() == ["b-one", "a-two", "c-three", "d-four"]
    assert names(SortOrder="Descending") == ["d-four", "c-three", "a-two", "b-one"]
    assert names(SortBy="Name") == ["a-two", "b-one", "c-three", "d-four"]
    assert names(SortBy="Status")[:2] == ["a-two", "b-one"]
    assert names(NameContains="-t") == ["a-two", "c-three"]
    assert names(StatusEquals="InProgress") == ["c-three", "d-four"]
    assert names(WarmPoolStatusEquals="Available") == []
    created = [entry["CreationTime"] for entry in bench.sm.list_training_jobs()["TrainingJobSummaries"]]
    assert names(CreationTimeAfter=created[-1].replace(year=2999)) == []
    assert names(LastModifiedTimeBefore=created[0].replace(year=2000)) == []
    pages = list(bench.sm.get_paginator("list_training_jobs").paginate(SortBy="Status", MaxResults=1))
    assert [page["TrainingJobSummaries"][0]["TrainingJobName"] for page in pages][:2] == ["a-two", "b-one"]
    assert len(pages) == 4


def test_status_is_filtered_after_the_page_was_taken(bench: Bench) -> None:
    for name in ("one", "two", "three"):
        bench.sm.create_training_job(**training_request(name))
    bench.controllers.complete_job("three")
    first = bench.sm.list_training_jobs(StatusEquals="Completed", MaxResults=2)
    assert first["TrainingJobSummaries"] == []
    second = bench.sm.list_training_jobs(StatusEquals="Completed", MaxResults=2, NextToken=first["NextToken"])
    assert [entry["TrainingJobName"] for entry in second["TrainingJobSummaries"]] == ["three"]
    assert "NextToken" not in second
    assert refusal(bench.sm.list_training_jobs, NextToken=first["NextToken"])[0] == "ValidationException"


def test_jobs_are_found_by_their_training_plan(bench: Bench) -> None:
    plan = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-plan/plan"
    config = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "TrainingPlanArn": plan}
    for number in range(5):
        changes = {"ResourceConfig": config} if number % 2 else {}
        bench.sm.create_training_job(**training_request(f"fit-{number}", **changes))
    pages = list(bench.sm.get_paginator("list_training_jobs").paginate(TrainingPlanArnEquals=plan, MaxResults=1))
    names = [entry["TrainingJobName"] for page in pages for entry in page["TrainingJobSummaries"]]
    assert names == ["fit-1", "fit-3"]


@pytest.mark.parametrize("data_type", ["S3Prefix", "ManifestFile"])
def test_a_channel_without_objects_is_refused_and_nothing_is_made(bench: Bench, data_type: str) -> None:
    put_object(bench.house, "inputs", "iris/data.csv")
    for url in ("s3://inputs/none/", "s3://no-such-bucket/iris"):
        source = {"S3DataType": data_type, "S3Uri": url}
        config = [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]
        code, message = refusal(bench.sm.create_training_job, **training_request("fit", InputDataConfig=config))
        assert code == "ValidationException"
        assert message.startswith(f'No S3 objects found under S3 URL "{url}" given in input data source. ')
        assert f"({REGION})" in message
        assert ROLE in message
    assert bench.sm.list_training_jobs()["TrainingJobSummaries"] == []


def test_a_prefix_is_a_raw_key_prefix_and_a_manifest_a_whole_key(bench: Bench) -> None:
    put_object(bench.house, "inputs", "iris/data.csv")

    def config(data_type: str, url: str) -> list[dict[str, Any]]:
        return [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": data_type, "S3Uri": url}}}]

    prefix = config("S3Prefix", f"https://s3.{REGION}.amazonaws.com/inputs/iris/da")
    bench.sm.create_training_job(**training_request("raw", InputDataConfig=prefix))
    assert bench.house.jobs.get("raw").spec.channels[0].location == "s3://inputs/iris/da"
    half = training_request("half", InputDataConfig=config("ManifestFile", "s3://inputs/iris/da"))
    assert "No S3 objects found" in refusal(bench.sm.create_training_job, **half)[1]
    whole = training_request("whole", InputDataConfig=config("ManifestFile", "s3://inputs/iris/data.csv"))
    bench.sm.create_training_job(**whole)


FILE_SYSTEM = {
    "FileSystemId": "fs-12345678",
    "FileSystemAccessMode": "rw",
    "FileSystemType": "EFS",
    "DirectoryPath": "/data",
}
SPOT = {"EnableManagedSpotTraining": True}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AlgorithmSpecification": None}, "'algorithmSpecification' failed to satisfy constraint: Member must not be"),
        ({"ResourceConfig": None}, "Value null at 'resourceConfig' failed to satisfy constraint: Member must not be"),
        ({"StoppingCondition": None}, "Value null at 'stoppingCondition' failed to satisfy constraint"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "algorithmSpecification.trainingImage"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File", "AlgorithmName": "forest"}}, "AlgorithmName"),
        ({"ResourceConfig": {"InstanceCount": 1}}, "Value null at 'resourceConfig.instanceType'"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large"}}, "Value null at 'resourceConfig.instanceCount'"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 0}}, "Value '0' at 'resourceConfig.inst"),
        ({"ResourceConfig": {"InstanceType": "ml.none", "InstanceCount": 1}}, "Value 'ml.none' at 'resourceConfig"),
        (
            {
                "ResourceConfig": {
                    "InstanceGroups": [
                        {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": name}
                        for name in "ab"
                    ]
                }
            },
            "InstanceGroups",
        ),
        (SPOT, "MaxWaitTimeInSeconds"),
        (SPOT | {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8}}, "greater than or equal"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}}, "EnableManagedSpotTraining"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "Value '0' at 'stoppingCondition.maxRuntimeInSeconds'"),
        ({"InputDataConfig": [channel(), channel()]}, "Channel names must be unique: 'train'"),
        ({"InputDataConfig": [channel("bad name")]}, "'inputDataConfig.1.member.channelName' failed to satisfy"),
        ({"InputDataConfig": [{"ChannelName": "a", "DataSource": {}}]}, "must have an S3DataSource"),
        (
            {"InputDataConfig": [{"ChannelName": "a", "DataSource": {"FileSystemDataSource": FILE_SYSTEM}}]},
            "FileSystemDataSource",
        ),
        (
            {
                "InputDataConfig": [
                    {"ChannelName": "a", "DataSource": {"S3DataSource": {"S3DataType": "Converse", "S3Uri": "s3://b/k"}}}
                ]
            },
            "Converse",
        ),
        (
            {
                "InputDataConfig": [
                    {
                        "ChannelName": "a",
                        "DataSource": {"S3DataSource": {"S3DataType": "AugmentedManifestFile", "S3Uri": "s3://b/k"}},
                    }
                ]
            },
            "AttributeNames",
        ),
        ({"OutputDataConfig": {"S3OutputPath": "https://example.com/x"}}, "is not one of S3"),
        ({"OutputDataConfig": {"S3OutputPath": "ftp://x"}}, "Value 'ftp://x' at 'outputDataConfig.s3OutputPath'"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": IMAGE,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "m", "Regex": "("}],
                }
            },
            "Regex of metric 'm'",
        ),
        ({"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "Tape"}}, "Value 'Tape' at"),
        ({"TrainingJobName": "-fit"}, "Value '-fit' at 'trainingJobName' failed to satisfy constraint: Member must"),
        ({"TrainingJobName": "x" * 64}, "Member must have length less than or equal to 63"),
        ({"RoleArn": "arn:aws:iam::12:role/x"}, "'roleArn' failed to satisfy constraint: Member must satisfy regular"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 31}}, "Member must have value less than or equal to 30"),
        ({"HyperParameters": {"k" * 300: "v"}}, "hyperParameters"),
        ({"Environment": {"1a": "v"}}, "environment"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "Duplicate tag key"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "reserved"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "Member must have length less than or equal"),
        (
            {"ServerlessJobConfig": {"BaseModelArn": "arn:aws:sagemaker:eu-west-1:aws:hub-content/h/Model/m/1.0.0",
                                     "JobType": "FineTuning"}},
            "ServerlessJobConfig",
        ),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_is_refused_and_nothing_is_made(
    untouched: Bench, changes: dict[str, Any], words: str
) -> None:
    code, message = refusal(untouched.raw.create_training_job, **training_request("fit", **changes))
    assert code == "ValidationException"
    assert words in message
    assert untouched.sm.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"MaxResults": 0}, "Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater"),
        ({"MaxResults": 101}, "Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less"),
        (
            {"SortBy": "Size"},
            "Value 'Size' at 'sortBy' failed to satisfy constraint: Member must satisfy enum value set",
        ),
        ({"StatusEquals": "Gone"}, "Value 'Gone' at 'statusEquals'"),
        ({"NameContains": "a b"}, "Value 'a b' at 'nameContains'"),
        ({"NextToken": "made up"}, "Invalid NextToken"),
    ],
)
def test_a_list_that_cannot_be_is_refused(untouched: Bench, request_: dict[str, Any], words: str) -> None:
    code, message = refusal(untouched.raw.list_training_jobs, **request_)
    assert code == "ValidationException"
    assert words in message


def test_one_group_or_the_first_preference_says_the_instances(bench: Bench) -> None:
    group = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "InstanceGroupName": "all"}
    bench.sm.create_training_job(**training_request("group", ResourceConfig={"InstanceGroups": [group]}))
    resources = bench.house.jobs.get("group").spec.resources
    assert (resources.instance_type, resources.instance_count) == ("ml.m5.xlarge", 2)
    preferences = [{"InstanceType": "ml.m5.2xlarge", "InstanceCount": 1}, {"InstanceType": "ml.m5.large"}]
    bench.sm.create_training_job(**training_request("first", ResourceConfig={"InstancePreferences": preferences}))
    shown = bench.sm.describe_training_job(TrainingJobName="first")["ResourceConfig"]
    assert (shown["SelectedInstanceType"], shown["SelectedInstanceCount"]) == ("ml.m5.2xlarge", 1)


def test_a_job_of_another_door_is_shown_by_what_the_core_knows(bench: Bench) -> None:
    spec = JobSpec(
        image="modelyard/tabular",
        resources=Resources("ml.m5.large"),
        hyperparameters={"alpha": "1"},
        channels=(Channel("train", "s3://b/k", source="manifest"),),
        output="s3://modelyard-models/x",
    )
    made = bench.house.jobs.create(NewJob("training", "ml_models", "us-east-1", spec, {"own": 1}, display_name="A b"))
    shown = bench.sm.describe_training_job(TrainingJobName=made.id)
    assert shown["TrainingJobName"] == f"A-b-{made.id[:8]}"
    assert shown["TrainingJobArn"].startswith("arn:aws:sagemaker:us-east-1:")
    assert shown["AlgorithmSpecification"]["TrainingImage"] == "modelyard/tabular"
    assert shown["HyperParameters"] == {"alpha": "1"}
    assert shown["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataType"] == "ManifestFile"
    assert shown["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/ModelyardRole"
