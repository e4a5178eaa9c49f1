"""CreateModel as the core's NewModel, and the core's Model as DescribeModel and ListModels show it.

Owns what a container definition means and what of it is refused
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.core.models.model import Model, ModelContainer, NewModel
from modelyard.dialects.sagemaker.arns import MODEL, Arn
from modelyard.dialects.sagemaker.errors import NOT_NULL, refused, violated
from modelyard.dialects.sagemaker.translate.locations import s3_location
from modelyard.dialects.sagemaker.translate.tags import tags_in
from modelyard.dialects.sagemaker.translate.training import DOOR

Document = Mapping[str, Any]


def new_model(request: Document, region: str) -> NewModel:
    """The model that a request asks for. Raises ValidationException for what cannot be."""
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if primary is not None and several:
        raise refused("PrimaryContainer and Containers cannot be given together.")
    if primary is None and not several:
        raise violated([("primaryContainer", None, NOT_NULL)])
    containers = (
        [_container(primary, "primaryContainer")]
        if primary is not None
        else [_container(part, f"containers.{place}.member") for place, part in enumerate(several or (), 1)]
    )
    _check_names(containers)
    return NewModel(
        door=DOOR,
        region=region,
        containers=tuple(containers),
        document={name: value for name, value in request.items() if name != "Tags"},
        name=request["ModelName"],
        tags=tags_in(request.get("Tags")),
    )


def _container(definition: Document, member: str) -> ModelContainer:
    if definition.get("ModelPackageName"):
        raise refused(
            f"ModelPackageName '{definition['ModelPackageName']}': model packages are not offered here; name an Image."
        )
    if not definition.get("Image"):
        raise violated([(f"{member}.image", None, NOT_NULL)])
    if definition.get("AdditionalModelDataSources"):
        raise refused("AdditionalModelDataSources: a container here has one source of model data.")
    return ModelContainer(
        image=definition["Image"],
        artifact=_artifact(definition),
        variables=dict(definition.get("Environment") or {}),
        hostname=definition.get("ContainerHostname"),
        mode="multi" if definition.get("Mode") == "MultiModel" else "single",
    )


def _artifact(definition: Document) -> str | None:
    url, source = definition.get("ModelDataUrl"), (definition.get("ModelDataSource") or {}).get("S3DataSource")
    if url and source:
        raise refused("ModelDataUrl and ModelDataSource cannot be given together.")
    if source:
        if (source["S3DataType"], source["CompressionType"]) != ("S3Object", "Gzip"):
            raise refused(
                "ModelDataSource: only S3DataType 'S3Object' with CompressionType 'Gzip', a model.tar.gz, "
                "is offered here."
            )
        url = source["S3Uri"]
    return s3_location(url) if url else None


def _check_names(containers: Sequence[ModelContainer]) -> None:
    names = [container.hostname for container in containers if container.hostname]
    if len(set(names)) < len(names):
        raise refused(f"ContainerHostname must be unique in Containers: {', '.join(names)}.")


def arn_of(model: Model, account: str) -> Arn:
    return Arn(model.region, account, MODEL, model.name)


def summary(model: Model, account: str) -> dict[str, Any]:
    """The model as an entry of ListModels."""
    return {"ModelName": model.name, "ModelArn": str(arn_of(model, account)), "CreationTime": model.created}


def description(model: Model, account: str, default_role: str) -> dict[str, Any]:
    """The model as DescribeModel answers it."""
    shown = dict(model.document) if model.door == DOOR else _foreign(model, default_role)
    if "PrimaryContainer" in shown:
        shown["PrimaryContainer"] = {"Mode": "SingleModel"} | shown["PrimaryContainer"]
    if "Containers" in shown:
        shown["Containers"] = [{"Mode": "SingleModel"} | part for part in shown["Containers"]]
    shown.setdefault("EnableNetworkIsolation", False)
    return shown | summary(model, account)


def _foreign(model: Model, default_role: str) -> dict[str, Any]:
    container = model.containers[0]
    primary: dict[str, Any] = {"Image": container.image}
    if container.artifact is not None:
        primary["ModelDataUrl"] = container.artifact
    if container.variables:
        primary["Environment"] = dict(container.variables)
    return {"PrimaryContainer": primary, "ExecutionRoleArn": default_role}
