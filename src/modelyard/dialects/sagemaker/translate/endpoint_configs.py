"""CreateEndpointConfig as the core's NewConfig, and the core's EndpointConfig as Describe and List show it.

Owns what a production variant means and what of it is refused
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.core.deployments.model import EndpointConfig, NewConfig, Variant
from modelyard.dialects.sagemaker.arns import ENDPOINT_CONFIG, Arn
from modelyard.dialects.sagemaker.errors import NOT_NULL, refused, violated
from modelyard.dialects.sagemaker.translate.tags import tags_in
from modelyard.dialects.sagemaker.translate.training import DOOR

Document = Mapping[str, Any]

SERVERLESS_TYPE = "ml.m5.large"
"""What a variant with a ServerlessConfig runs on: one worker, started with the endpoint."""


def new_config(request: Document, region: str) -> NewConfig:
    """The configuration that a request asks for. Raises ValidationException for what cannot be."""
    variants = tuple(_variant(variant, place) for place, variant in enumerate(request["ProductionVariants"], 1))
    return NewConfig(
        name=request["EndpointConfigName"],
        door=DOOR,
        region=region,
        variants=variants,
        document={name: value for name, value in request.items() if name != "Tags"},
        tags=tags_in(request.get("Tags")),
    )


def _variant(variant: Document, place: int) -> Variant:
    if not variant.get("ModelName"):
        error = violated([(f"productionVariants.{place}.member.modelName", None, NOT_NULL)])
        raise refused(f"{error.message}. Inference components, which need no ModelName here, are not offered.")
    instance_type = variant.get("InstanceType") or _pooled(variant)
    count = variant.get("InitialInstanceCount")
    if variant.get("ServerlessConfig"):
        if instance_type or count:
            raise refused("ServerlessConfig cannot be given together with InstanceType or InitialInstanceCount.")
        instance_type, count = SERVERLESS_TYPE, 1
    given = {"initialInstanceCount": count, "instanceType": instance_type}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise violated((f"productionVariants.{place}.member.{name}", None, NOT_NULL) for name in missing)
    return Variant(
        name=variant["VariantName"],
        model_name=variant["ModelName"],
        instance_type=str(instance_type),
        instance_count=int(count or 0),
        weight=float(variant.get("InitialVariantWeight", 1.0)),
    )


def _pooled(variant: Document) -> str | None:
    """The type that InstancePools prefer."""
    pools = sorted(variant.get("InstancePools") or (), key=lambda pool: int(pool["Priority"]))
    return pools[0]["InstanceType"] if pools else None


def arn_of(config: EndpointConfig, account: str) -> Arn:
    return Arn(config.region, account, ENDPOINT_CONFIG, config.name)


def summary(config: EndpointConfig, account: str) -> dict[str, Any]:
    """The configuration as an entry of ListEndpointConfigs."""
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": str(arn_of(config, account)),
        "CreationTime": config.created,
    }


def description(config: EndpointConfig, account: str) -> dict[str, Any]:
    """The configuration as DescribeEndpointConfig answers it."""
    shown: dict[str, Any] = dict(config.document) if config.door == DOOR else {"ProductionVariants": _foreign(config)}
    shown["ProductionVariants"] = [{"InitialVariantWeight": 1.0} | variant for variant in shown["ProductionVariants"]]
    shown.setdefault("EnableNetworkIsolation", False)
    return shown | summary(config, account)


def _foreign(config: EndpointConfig) -> list[dict[str, Any]]:
    return [
        {
            "VariantName": variant.name,
            "ModelName": variant.model_name,
            "InstanceType": variant.instance_type,
            "InitialInstanceCount": variant.instance_count,
            "InitialVariantWeight": variant.weight,
        }
        for variant in config.variants
    ]
