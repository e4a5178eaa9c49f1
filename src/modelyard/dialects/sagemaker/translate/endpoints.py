"""The core's Endpoint as DescribeEndpoint and ListEndpoints show it.

Owns the answer: what serves, what is on its way, and what the configuration says beside
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.core.deployments.model import Endpoint, PlannedVariant, VariantStatus
from modelyard.core.deployments.states import SETTLED
from modelyard.dialects.sagemaker.arns import ENDPOINT, Arn
from modelyard.dialects.sagemaker.translate.states import ENDPOINT as STATES

REASON_LIMIT = 1024
_FROM_CONFIG = ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig", "CrossRegionTrafficConfig")
_FROM_VARIANT = ("ManagedInstanceScaling", "RoutingConfig")


def arn_of(endpoint: Endpoint, account: str) -> Arn:
    return Arn(endpoint.region, account, ENDPOINT, endpoint.name)


def is_settled(endpoint: Endpoint) -> bool:
    return endpoint.state in SETTLED


def summary(endpoint: Endpoint, account: str) -> dict[str, Any]:
    """The endpoint as an entry of ListEndpoints."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": str(arn_of(endpoint, account)),
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": STATES[endpoint.state],
    }


def description(endpoint: Endpoint, account: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint as DescribeEndpoint answers it. ``config``: the document of the configuration that serves,
    empty when that is gone."""
    shown = summary(endpoint, account)
    shown["EndpointConfigName"] = endpoint.plan.config_name if endpoint.plan else endpoint.config_name
    asked = {variant["VariantName"]: variant for variant in config.get("ProductionVariants") or ()}
    variants = [_variant(endpoint, status, asked.get(status.name, {})) for status in endpoint.variants]
    if variants:
        shown["ProductionVariants"] = variants
    if endpoint.failure_reason:
        shown["FailureReason"] = endpoint.failure_reason[:REASON_LIMIT]
    if endpoint.target_config is not None and endpoint.target is not None:
        shown["PendingDeploymentSummary"] = {
            "EndpointConfigName": endpoint.target_config,
            "ProductionVariants": [_pending(endpoint, variant) for variant in endpoint.target.variants],
            "StartTime": endpoint.modified,
        }
    if deployment := endpoint.document.get("DeploymentConfig"):
        shown["LastDeploymentConfig"] = deployment
    if capture := config.get("DataCaptureConfig"):
        shown["DataCaptureConfig"] = _capture(capture)
    return shown | {name: config[name] for name in _FROM_CONFIG if name in config}


def _variant(endpoint: Endpoint, status: VariantStatus, asked: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "VariantName": status.name,
        "DeployedImages": [_image(endpoint, status.image)],
        "CurrentWeight": status.current_weight,
        "DesiredWeight": status.desired_weight,
    }
    if serverless := asked.get("ServerlessConfig"):
        shown |= {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    else:
        shown |= {"CurrentInstanceCount": status.current_count, "DesiredInstanceCount": status.desired_count}
    return shown | {name: asked[name] for name in _FROM_VARIANT if name in asked}


def _pending(endpoint: Endpoint, variant: PlannedVariant) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": [_image(endpoint, variant.image)],
        "DesiredWeight": variant.weight,
        "DesiredInstanceCount": variant.count,
        "InstanceType": variant.instance_type,
    }


def _image(endpoint: Endpoint, image: str) -> dict[str, Any]:
    return {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": endpoint.created}


def _capture(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "EnableCapture": config.get("EnableCapture", False),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
