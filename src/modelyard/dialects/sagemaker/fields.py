"""What becomes of every member of the requests that make or change something: the table of docs/sagemaker.md.

Owns the one tuple FIELDS. A test compares it with botocore's shapes, so that a member that botocore gains, or
one that is named wrongly here, fails. A path covers everything below it; lists are passed through unnamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Fate = Literal["acted", "kept", "refused"]


@dataclass(frozen=True, slots=True)
class Field:
    """One member of an operation's request. ``kept``: stored and shown again, without any effect."""

    operation: str
    path: str
    fate: Fate
    note: str = ""


def _all(operation: str, fate: Fate, paths: str, note: str = "") -> Iterator[Field]:
    return (Field(operation, path, fate, note) for path in paths.split())


_TRAINING = "CreateTrainingJob"


def _training() -> Iterator[Field]:
    yield from _all(_TRAINING, "acted", "TrainingJobName HyperParameters Tags Environment RetryStrategy")
    yield from _all(_TRAINING, "acted", "EnableNetworkIsolation CheckpointConfig")
    yield from _all(_TRAINING, "kept", "RoleArn", "a job has the rights of the key that signed its creation")
    yield from _training_algorithm()
    yield from _training_channels()
    yield from _training_output()
    yield from _training_resources()
    yield from _training_extras()


def _training_algorithm() -> Iterator[Field]:
    yield from _all(
        _TRAINING,
        "acted",
        "AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode "
        "AlgorithmSpecification.MetricDefinitions AlgorithmSpecification.ContainerEntrypoint "
        "AlgorithmSpecification.ContainerArguments",
    )
    yield from _all(
        _TRAINING,
        "kept",
        "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries",
        "metrics always have a time series",
    )
    yield from _all(
        _TRAINING, "kept", "AlgorithmSpecification.TrainingImageConfig", "images name environments of this machine"
    )
    yield from _all(_TRAINING, "refused", "AlgorithmSpecification.AlgorithmName", "no algorithms of the marketplace")


def _training_channels() -> Iterator[Field]:
    yield from _all(
        _TRAINING,
        "acted",
        "InputDataConfig.ChannelName InputDataConfig.DataSource.S3DataSource.S3DataType "
        "InputDataConfig.DataSource.S3DataSource.S3Uri "
        "InputDataConfig.DataSource.S3DataSource.S3DataDistributionType "
        "InputDataConfig.DataSource.S3DataSource.AttributeNames InputDataConfig.ContentType "
        "InputDataConfig.CompressionType InputDataConfig.RecordWrapperType InputDataConfig.InputMode "
        "InputDataConfig.ShuffleConfig",
    )
    yield from _all(
        _TRAINING,
        "kept",
        "InputDataConfig.DataSource.S3DataSource.InstanceGroupNames",
        "a job has one group of instances, which gets every channel",
    )
    yield from _all(
        _TRAINING,
        "kept",
        "InputDataConfig.DataSource.S3DataSource.ModelAccessConfig "
        "InputDataConfig.DataSource.S3DataSource.HubAccessConfig",
        "there are no hubs here",
    )
    yield from _all(
        _TRAINING,
        "refused",
        "InputDataConfig.DataSource.FileSystemDataSource InputDataConfig.DataSource.DatasetSource",
        "channels come from S3; S3DataType Converse is refused too",
    )


def _training_output() -> Iterator[Field]:
    yield from _all(_TRAINING, "acted", "OutputDataConfig.S3OutputPath OutputDataConfig.CompressionType")
    yield from _all(
        _TRAINING, "kept", "OutputDataConfig.KmsKeyId ResourceConfig.VolumeKmsKeyId", "nothing is encrypted by KMS"
    )


def _training_resources() -> Iterator[Field]:
    yield from _all(
        _TRAINING,
        "acted",
        "ResourceConfig.InstanceType ResourceConfig.InstanceCount ResourceConfig.InstanceGroups "
        "ResourceConfig.InstancePreferences StoppingCondition.MaxRuntimeInSeconds "
        "StoppingCondition.MaxWaitTimeInSeconds",
    )
    yield from _all(_TRAINING, "kept", "ResourceConfig.VolumeSizeInGB", "jobs share this machine's disk")
    yield from _all(_TRAINING, "kept", "ResourceConfig.KeepAlivePeriodInSeconds", "environments are always kept warm")
    yield from _all(
        _TRAINING,
        "kept",
        "ResourceConfig.TrainingPlanArn ResourceConfig.InstancePlacementConfig ResourceConfig.SelectedInstanceType "
        "ResourceConfig.SelectedInstanceCount",
        "there is one machine and no plan of capacity",
    )
    yield from _all(
        _TRAINING,
        "kept",
        "VpcConfig EnableInterContainerTrafficEncryption",
        "the instances of a job share a network of this machine",
    )
    yield from _all(_TRAINING, "kept", "StoppingCondition.MaxPendingTimeInSeconds", "a job waits until there is room")
    yield from _all(_TRAINING, "kept", "EnableManagedSpotTraining", "no instance is ever taken away")
    yield from _all(_TRAINING, "refused", "ServerlessJobConfig", "no serverless model customization")


def _training_extras() -> Iterator[Field]:
    yield from _all(
        _TRAINING,
        "kept",
        "DebugHookConfig DebugRuleConfigurations TensorBoardOutputConfig ProfilerConfig ProfilerRuleConfigurations "
        "RemoteDebugConfig InfraCheckConfig",
        "no debugger, profiler or remote shell is attached",
    )
    yield from _all(_TRAINING, "kept", "ExperimentConfig MlflowConfig", "no experiment tracking")
    yield from _all(_TRAINING, "kept", "ModelPackageConfig", "no model packages")
    yield from _all(_TRAINING, "kept", "SessionChainingConfig", "not shown by DescribeTrainingJob, as in the service")


def _training_update() -> Iterator[Field]:
    update = "UpdateTrainingJob"
    yield from _all(update, "acted", "TrainingJobName")
    yield from _all(
        update,
        "kept",
        "ProfilerConfig ProfilerRuleConfigurations",
        "while the job is in progress; no profiler is attached",
    )
    yield from _all(
        update, "kept", "RemoteDebugConfig", "while the job is Downloading or Training; no remote shell is attached"
    )
    yield from _all(
        update,
        "kept",
        "ResourceConfig",
        "of a job that asked for a warm pool, while it is in progress or Completed; environments are always kept warm",
    )


def _model() -> Iterator[Field]:
    operation = "CreateModel"
    yield from _all(operation, "acted", "ModelName Tags")
    yield from _all(operation, "kept", "ExecutionRoleArn", "a model reaches nothing that a role could allow")
    yield from _all(operation, "kept", "VpcConfig EnableNetworkIsolation", "models never have a network")
    yield from _all(
        operation, "kept", "InferenceExecutionConfig", "models of several containers are kept; no endpoint serves them"
    )
    for container in ("PrimaryContainer", "Containers"):
        yield from (
            Field(operation, f"{container}.{path}", fate, note)
            for fate, paths, note in _CONTAINER
            for path in paths.split()
        )


_CONTAINER: tuple[tuple[Fate, str, str], ...] = (
    (
        "acted",
        "Image ModelDataUrl Environment ContainerHostname Mode ModelDataSource.S3DataSource.S3Uri "
        "ModelDataSource.S3DataSource.S3DataType ModelDataSource.S3DataSource.CompressionType",
        "",
    ),
    (
        "kept",
        "ModelDataSource.S3DataSource.ModelAccessConfig ModelDataSource.S3DataSource.HubAccessConfig "
        "ModelDataSource.S3DataSource.ManifestS3Uri ModelDataSource.S3DataSource.ETag "
        "ModelDataSource.S3DataSource.ManifestEtag",
        "there are no hubs here, and the object is read as it is when the endpoint starts",
    ),
    ("kept", "ImageConfig", "images name environments of this machine"),
    ("kept", "MultiModelConfig", "no endpoint serves MultiModel yet"),
    ("kept", "ContainerMetricsConfig InferenceSpecificationName", "no metrics of containers, no model packages"),
    ("refused", "ModelPackageName", "no model packages"),
    ("refused", "AdditionalModelDataSources", "a container has one source of model data"),
)


def _endpoint_config() -> Iterator[Field]:
    operation = "CreateEndpointConfig"
    yield from _all(operation, "acted", "EndpointConfigName Tags")
    yield from _all(
        operation,
        "acted",
        "ProductionVariants.VariantName ProductionVariants.ModelName ProductionVariants.InitialInstanceCount "
        "ProductionVariants.InstanceType ProductionVariants.InitialVariantWeight",
    )
    yield from _all(
        operation, "kept", "ProductionVariants.ServerlessConfig", "such a variant is one worker that is always there"
    )
    yield from _all(
        operation,
        "kept",
        "ProductionVariants.InstancePools",
        "only the type of the first priority counts, where no InstanceType is given",
    )
    yield from _all(
        operation,
        "kept",
        "ProductionVariants.VariantInstanceProvisionTimeoutInSeconds ProductionVariants.AcceleratorType "
        "ProductionVariants.CoreDumpConfig ProductionVariants.VolumeSizeInGB "
        "ProductionVariants.ModelDataDownloadTimeoutInSeconds "
        "ProductionVariants.ContainerStartupHealthCheckTimeoutInSeconds ProductionVariants.EnableSSMAccess "
        "ProductionVariants.InferenceAmiVersion ProductionVariants.CapacityReservationConfig "
        "ProductionVariants.AcceleratorPartitionLayouts",
        "workers are processes of this machine; their times are settings",
    )
    yield from _all(
        operation,
        "kept",
        "ProductionVariants.ManagedInstanceScaling ProductionVariants.RoutingConfig",
        "the number of workers is the one asked for, requests go to the next free one",
    )
    yield from _all(operation, "kept", "DataCaptureConfig", "shown with CaptureStatus Stopped: nothing is captured yet")
    yield from _all(operation, "kept", "AsyncInferenceConfig", "no InvokeEndpointAsync yet")
    yield from _all(operation, "kept", "ExplainerConfig", "no explanations yet")
    yield from _all(operation, "kept", "ShadowProductionVariants", "no shadow traffic")
    yield from _all(operation, "kept", "KmsKeyId", "nothing is encrypted by KMS")
    yield from _all(operation, "kept", "ExecutionRoleArn", "inference components are refused")
    yield from _all(operation, "kept", "VpcConfig EnableNetworkIsolation", "models never have a network")
    yield from _all(
        operation, "kept", "MetricsConfig CrossRegionTrafficConfig", "one machine, no CloudWatch of its own"
    )


def _endpoints() -> Iterator[Field]:
    yield from _all("CreateEndpoint", "acted", "EndpointName EndpointConfigName Tags")
    yield from _all("UpdateEndpoint", "acted", "EndpointName EndpointConfigName RetainAllVariantProperties")
    yield from _all("UpdateEndpoint", "acted", "ExcludeRetainedVariantProperties")
    for operation in ("CreateEndpoint", "UpdateEndpoint"):
        yield from _all(
            operation, "kept", "DeploymentConfig", "every update starts all new workers before the old ones leave"
        )
    yield from _all("UpdateEndpoint", "acted", "RetainDeploymentConfig")
    weights = "UpdateEndpointWeightsAndCapacities"
    yield from _all(
        weights,
        "acted",
        "EndpointName DesiredWeightsAndCapacities.VariantName DesiredWeightsAndCapacities.DesiredWeight "
        "DesiredWeightsAndCapacities.DesiredInstanceCount",
    )
    yield from _all(
        weights, "kept", "DesiredWeightsAndCapacities.ServerlessUpdateConfig", "accepted and dropped: one worker stays"
    )


def _notebooks() -> Iterator[Field]:
    create, update = "CreateNotebookInstance", "UpdateNotebookInstance"
    yield from _all(create, "acted", "NotebookInstanceName Tags LifecycleConfigName")
    yield from _all(
        update,
        "acted",
        "NotebookInstanceName LifecycleConfigName DisassociateLifecycleConfig DisassociateAcceleratorTypes "
        "DisassociateDefaultCodeRepository DisassociateAdditionalCodeRepositories",
    )
    shared = (
        "InstanceType RoleArn VolumeSizeInGB DefaultCodeRepository AdditionalCodeRepositories RootAccess "
        "PlatformIdentifier InstanceMetadataServiceConfiguration IpAddressType AcceleratorTypes"
    )
    for operation in (create, update):
        yield from _all(operation, "kept", shared, "no notebook instance starts yet")
    yield from _all(
        create, "kept", "SubnetId SecurityGroupIds KmsKeyId DirectInternetAccess", "no notebook instance starts yet"
    )
    for operation in ("CreateNotebookInstanceLifecycleConfig", "UpdateNotebookInstanceLifecycleConfig"):
        yield from _all(operation, "acted", "NotebookInstanceLifecycleConfigName")
        yield from _all(operation, "kept", "OnCreate OnStart", "no notebook instance starts yet")
    yield from _all("CreateNotebookInstanceLifecycleConfig", "acted", "Tags")


FIELDS: tuple[Field, ...] = (
    *_training(),
    *_training_update(),
    *_model(),
    *_endpoint_config(),
    *_endpoints(),
    *_notebooks(),
)


def table(fields: Iterable[Field] = FIELDS) -> str:
    """The members without effect and the refused ones as the Markdown of docs/sagemaker.md."""
    lines = ["| operation | member | | why |", "|---|---|---|---|"]
    for field in fields:
        if field.fate != "acted":
            lines.append(f"| {field.operation} | `{field.path}` | {field.fate} | {field.note} |")
    return "\n".join(lines) + "\n"
