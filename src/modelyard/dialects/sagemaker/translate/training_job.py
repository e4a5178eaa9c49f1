"""The core's Job as DescribeTrainingJob and ListTrainingJobs show it.

Owns the answer: the request as it came, completed by the job's state. A job of another door is shown by its
spec (one-core's table). Clients index some members that are optional on the wire: those are always there
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelyard.core.jobs.model import Channel, Job
from modelyard.core.jobs.states import TERMINAL
from modelyard.dialects.sagemaker.arns import TRAINING_JOB, Arn
from modelyard.dialects.sagemaker.translate.states import TRAINING
from modelyard.dialects.sagemaker.translate.training import DOOR, MAX_RUNTIME, selected_preference

VOLUME_GB = 30
"""VolumeSizeInGB of a job that names none; volumes have no effect here."""

REASON_LIMIT = 1024
_DATA_TYPES = {"prefix": "S3Prefix", "manifest": "ManifestFile", "augmented_manifest": "AugmentedManifestFile"}


def arn_of(job: Job, account: str) -> Arn:
    return Arn(job.region, account, TRAINING_JOB, job.name)


def is_settled(job: Job) -> bool:
    return job.state in TERMINAL


def summary(job: Job, account: str) -> dict[str, Any]:
    """The job as an entry of ListTrainingJobs."""
    shown: dict[str, Any] = {
        "TrainingJobName": job.name,
        "TrainingJobArn": str(arn_of(job, account)),
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": TRAINING[job.state],
        "SecondaryStatus": str(job.phase),
    }
    if job.ended is not None:
        shown["TrainingEndTime"] = job.ended
    return shown


def description(job: Job, account: str, default_role: str) -> dict[str, Any]:
    """The job as DescribeTrainingJob answers it."""
    asked = job.document if job.door == DOOR else _foreign(job, default_role)
    shown = dict(asked)
    shown["OutputDataConfig"] = {"KmsKeyId": ""} | asked["OutputDataConfig"]
    shown["StoppingCondition"] = {"MaxRuntimeInSeconds": MAX_RUNTIME} | asked["StoppingCondition"]
    shown["ResourceConfig"] = _resource_config(asked["ResourceConfig"])
    for switch in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining"):
        shown.setdefault(switch, False)
    return shown | summary(job, account) | _progress(job)


def _resource_config(asked: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"VolumeSizeInGB": VOLUME_GB, **asked}
    if chosen := selected_preference(asked):
        shown |= {"SelectedInstanceType": chosen["InstanceType"], "SelectedInstanceCount": chosen["InstanceCount"]}
    return shown


def _progress(job: Job) -> dict[str, Any]:
    shown: dict[str, Any] = {"SecondaryStatusTransitions": [_transition(entry) for entry in job.transitions]}
    if job.model_artifact is not None:
        shown["ModelArtifacts"] = {"S3ModelArtifacts": job.model_artifact}
    if job.failure_reason is not None:
        shown["FailureReason"] = job.failure_reason[:REASON_LIMIT]
    if job.started is not None:
        shown["TrainingStartTime"] = job.started
        if job.ended is not None:
            seconds = max(1, math.ceil(job.ended - job.started))
            shown |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
    if job.final_metrics:
        shown["FinalMetricDataList"] = [
            {"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.at} for metric in job.final_metrics
        ]
    return shown


def _transition(entry: Any) -> dict[str, Any]:
    shown = {"Status": str(entry.phase), "StartTime": entry.started, "StatusMessage": entry.message}
    return shown if entry.ended is None else shown | {"EndTime": entry.ended}


def _foreign(job: Job, default_role: str) -> dict[str, Any]:
    spec = job.spec
    asked: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": spec.image, "TrainingInputMode": "File"},
        "RoleArn": default_role,
        "OutputDataConfig": {"S3OutputPath": spec.output},
        "ResourceConfig": {
            "InstanceType": spec.resources.instance_type,
            "InstanceCount": spec.resources.instance_count,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": int(spec.max_runtime)},
    }
    if spec.hyperparameters:
        asked["HyperParameters"] = dict(spec.hyperparameters)
    if spec.channels:
        asked["InputDataConfig"] = [_foreign_channel(channel) for channel in spec.channels]
    return asked


def _foreign_channel(channel: Channel) -> dict[str, Any]:
    source = {"S3DataType": _DATA_TYPES[channel.source], "S3Uri": channel.location}
    return {"ChannelName": channel.name, "DataSource": {"S3DataSource": source}, "InputMode": channel.mode}
