"""CreateTrainingJob as the core's NewJob.

Owns what the request means and what of it is refused. Refuses to know buckets: the operation looks whether
inputs exist. Members that are kept without effect are in fields.py
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from modelyard.core.jobs.model import Channel, JobSpec, MetricDefinition, NewJob, Resources
from modelyard.dialects.sagemaker.errors import NOT_NULL, refused, violated
from modelyard.dialects.sagemaker.instances import resources
from modelyard.dialects.sagemaker.translate.locations import s3_location
from modelyard.dialects.sagemaker.translate.tags import tags_in

DOOR = "sagemaker"
MAX_RUNTIME = 86_400
"""Seconds a job may run when StoppingCondition names no time."""

Document = Mapping[str, Any]
_SOURCES: Mapping[str, Literal["prefix", "manifest", "augmented_manifest"]] = {
    "S3Prefix": "prefix",
    "ManifestFile": "manifest",
    "AugmentedManifestFile": "augmented_manifest",
}


def new_job(request: Document, region: str, principal: str | None, stop_grace: float) -> NewJob:
    """The job that a request asks for. Raises ValidationException for what cannot be."""
    _check(request)
    return NewJob(
        kind="training",
        door=DOOR,
        region=region,
        spec=_spec(request, principal, stop_grace),
        document={name: value for name, value in request.items() if name != "Tags"},
        name=request["TrainingJobName"],
        tags=tags_in(request.get("Tags")),
    )


def _spec(request: Document, principal: str | None, stop_grace: float) -> JobSpec:
    algorithm, output = request["AlgorithmSpecification"], request["OutputDataConfig"]
    stopping, checkpoints = request["StoppingCondition"], request.get("CheckpointConfig") or {}
    uploads = checkpoints.get("S3Uri")
    return JobSpec(
        image=algorithm["TrainingImage"],
        resources=_resources(request["ResourceConfig"]),
        hyperparameters=dict(request.get("HyperParameters") or {}),
        variables=dict(request.get("Environment") or {}),
        channels=tuple(_channels(request)),
        output=s3_location(output["S3OutputPath"]),
        output_compressed=output.get("CompressionType", "GZIP") == "GZIP",
        checkpoints=s3_location(uploads) if uploads else None,
        checkpoints_path=checkpoints.get("LocalPath") or "/opt/ml/checkpoints",
        entrypoint=tuple(algorithm.get("ContainerEntrypoint") or ()),
        arguments=tuple(algorithm.get("ContainerArguments") or ()),
        metrics=tuple(_metrics(algorithm.get("MetricDefinitions") or ())),
        max_runtime=stopping.get("MaxRuntimeInSeconds", MAX_RUNTIME),
        max_wait=stopping.get("MaxWaitTimeInSeconds"),
        stop_grace=stop_grace,
        retries=(request.get("RetryStrategy") or {}).get("MaximumRetryAttempts", 0),
        network=not request.get("EnableNetworkIsolation", False) and principal is not None,
        principal=principal,
    )


def _check(request: Document) -> None:
    algorithm = request["AlgorithmSpecification"]
    if algorithm.get("AlgorithmName"):
        raise refused(
            f"AlgorithmName '{algorithm['AlgorithmName']}': algorithms of the marketplace are not offered here; "
            "name a TrainingImage instead."
        )
    if not algorithm.get("TrainingImage"):
        raise violated([("algorithmSpecification.trainingImage", None, NOT_NULL)])
    if request.get("ServerlessJobConfig"):
        raise refused("ServerlessJobConfig: serverless model customization is not offered here.")
    _check_times(request)


def _check_times(request: Document) -> None:
    stopping = request["StoppingCondition"]
    runtime, wait = stopping.get("MaxRuntimeInSeconds", MAX_RUNTIME), stopping.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            raise refused(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                f"MaxRuntimeInSeconds ({runtime}) when EnableManagedSpotTraining is true."
            )
    elif wait is not None:
        raise refused("MaxWaitTimeInSeconds can only be given when EnableManagedSpotTraining is true.")


def _resources(config: Document) -> Resources:
    """The instances: of InstanceType and InstanceCount, or of the one instance group, or of the first preference."""
    groups = config.get("InstanceGroups") or ()
    if len(groups) > 1:
        raise refused("InstanceGroups: jobs here run on instances of one kind; give one group or InstanceType.")
    if groups and (config.get("InstanceType") or config.get("InstanceCount")):
        raise refused("InstanceGroups cannot be given together with InstanceType or InstanceCount.")
    chosen = groups[0] if groups else selected_preference(config) or config
    missing = [name for name in ("InstanceType", "InstanceCount") if chosen.get(name) is None]
    if missing:
        raise violated((f"resourceConfig.{name[0].lower()}{name[1:]}", None, NOT_NULL) for name in missing)
    if chosen["InstanceCount"] < 1:
        count = chosen["InstanceCount"]
        raise violated([("resourceConfig.instanceCount", count, "Member must have value greater than or equal to 1")])
    return resources(chosen["InstanceType"], chosen["InstanceCount"])


def selected_preference(config: Document) -> Document | None:
    """What InstancePreferences decide when no InstanceType is given."""
    preferences: Sequence[Document] = config.get("InstancePreferences") or ()
    if config.get("InstanceType") or not preferences:
        return None
    first = preferences[0]
    return {
        "InstanceType": first["InstanceType"],
        "InstanceCount": first.get("InstanceCount", config.get("InstanceCount", 1)),
    }


def _channels(request: Document) -> Iterator[Channel]:
    default_mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    names: set[str] = set()
    for channel in request.get("InputDataConfig") or ():
        name = channel["ChannelName"]
        if name in names:
            raise refused(f"Channel names must be unique: '{name}' is there twice in InputDataConfig.")
        names.add(name)
        yield _channel(channel, default_mode)


def _channel(channel: Document, default_mode: str) -> Channel:
    name = channel["ChannelName"]
    source = _source(name, channel["DataSource"])
    shuffle = channel.get("ShuffleConfig")
    mode: Any = channel.get("InputMode") or default_mode
    return Channel(
        name=name,
        location=s3_location(source["S3Uri"]),
        source=_SOURCES[source["S3DataType"]],
        mode=mode,
        distribution="sharded" if source.get("S3DataDistributionType") == "ShardedByS3Key" else "replicated",
        compression="gzip" if channel.get("CompressionType") == "Gzip" else "none",
        record_wrapper="RecordIO" if channel.get("RecordWrapperType") == "RecordIO" else "none",
        content_type=channel.get("ContentType"),
        shuffle_seed=shuffle["Seed"] if shuffle else None,
        attributes=tuple(source.get("AttributeNames") or ()),
    )


def _source(channel: str, source: Document) -> Document:
    """The channel's S3DataSource; every other kind is refused by its name."""
    for other in ("FileSystemDataSource", "DatasetSource"):
        if source.get(other):
            raise refused(f"{other} of channel '{channel}': only S3DataSource is offered here.")
    found: Document | None = source.get("S3DataSource")
    if found is None:
        raise refused(f"DataSource of channel '{channel}' must have an S3DataSource.")
    if found["S3DataType"] not in _SOURCES:
        raise refused(
            f"S3DataType '{found['S3DataType']}' of channel '{channel}' is not offered here; "
            f"use one of: {', '.join(_SOURCES)}."
        )
    if found["S3DataType"] == "AugmentedManifestFile" and not found.get("AttributeNames"):
        raise refused(f"AttributeNames of channel '{channel}' must be given with S3DataType AugmentedManifestFile.")
    return found


def _metrics(definitions: Sequence[Document]) -> Iterator[MetricDefinition]:
    for definition in definitions:
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            name = definition["Name"]
            raise refused(f"Regex of metric '{name}' is not a regular expression: {error}.") from error
        yield MetricDefinition(definition["Name"], definition["Regex"])
