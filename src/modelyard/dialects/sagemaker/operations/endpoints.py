"""The operations on endpoints.

Owns what is asked of core, and that a description waits for news a moment. Refuses to know members' forms:
translate/ has them (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelyard.base.errors import NotFound
from modelyard.core.deployments.model import Endpoint
from modelyard.core.deployments.states import EndpointBusy
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.sagemaker.arns import ENDPOINT, Arn
from modelyard.dialects.sagemaker.errors import refused, worded
from modelyard.dialects.sagemaker.operations.endpoint_configs import model_missing
from modelyard.dialects.sagemaker.pages import Query
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.endpoints import arn_of, description, is_settled, summary
from modelyard.dialects.sagemaker.translate.states import ENDPOINT as STATES
from modelyard.dialects.sagemaker.translate.states import states_of
from modelyard.dialects.sagemaker.translate.tags import tags_in
from modelyard.dialects.sagemaker.translate.training import DOOR


class EndpointOperations:
    """Endpoints."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("CreateEndpoint")(self.create_endpoint)
        service.operation("DescribeEndpoint")(self.describe_endpoint)
        service.operation("ListEndpoints", inline=True)(self.list_endpoints)
        service.operation("UpdateEndpoint")(self.update_endpoint)
        service.operation("UpdateEndpointWeightsAndCapacities")(self.update_endpoint_weights_and_capacities)
        service.operation("DeleteEndpoint")(self.delete_endpoint)

    def create_endpoint(self, call: Call, request: Request) -> Answer:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        tags = tags_in(request.get("Tags"))
        with worded(_arn(call, name)):
            try:
                endpoint = self._services.deployments.create(
                    name, config, DOOR, call.region, tags, _deployment(request)
                )
            except NotFound as error:
                raise model_missing(call, error) from error
        return self._changed(call, endpoint)

    async def describe_endpoint(self, call: Call, request: Request) -> Answer:
        name = request["EndpointName"]
        with worded(_arn(call, name)):
            endpoint = self._services.deployments.get(name)
            endpoint = await self._services.holds.read(
                endpoint.id, lambda: self._services.deployments.get(endpoint.id), is_settled, endpoint
            )
        return description(endpoint, call.account, self._config(call, endpoint))

    def list_endpoints(self, call: Call, request: Request) -> Answer:
        query = Query(call.operation, request, from_created=True)
        listing = replace(query.listing(), states=states_of(STATES, request.get("StatusEquals")))
        page = self._services.deployments.list(listing)
        return query.answer("Endpoints", (summary(endpoint, call.account) for endpoint in page.items), page.next)

    def update_endpoint(self, call: Call, request: Request) -> Answer:
        keep = request.get("RetainAllVariantProperties", False)
        renewed = {entry["VariantPropertyType"] for entry in request.get("ExcludeRetainedVariantProperties") or ()}
        endpoint = self._get(call, request["EndpointName"])
        with worded(arn_of(endpoint, call.account)):
            try:
                changed = self._services.deployments.update(
                    endpoint.id,
                    request["EndpointConfigName"],
                    keep_weights=keep and "DesiredWeight" not in renewed,
                    keep_counts=keep and "DesiredInstanceCount" not in renewed,
                    document=None if request.get("RetainDeploymentConfig") else _deployment(request),
                )
            except NotFound as error:
                if error.fields["kind"] == "endpoint":
                    raise
                raise model_missing(call, error) from error
            except EndpointBusy as error:
                raise _busy(call, endpoint) from error
        return self._changed(call, changed)

    def update_endpoint_weights_and_capacities(self, call: Call, request: Request) -> Answer:
        endpoint = self._get(call, request["EndpointName"])
        desired = {
            entry["VariantName"]: (entry.get("DesiredWeight"), entry.get("DesiredInstanceCount"))
            for entry in request["DesiredWeightsAndCapacities"]
        }
        with worded(arn_of(endpoint, call.account)):
            try:
                changed = self._services.deployments.update_weights(endpoint.id, desired)
            except EndpointBusy as error:
                raise _busy(call, endpoint) from error
        return self._changed(call, changed)

    def delete_endpoint(self, call: Call, request: Request) -> None:
        endpoint = self._get(call, request["EndpointName"])
        with worded(arn_of(endpoint, call.account)):
            self._services.deployments.delete(endpoint.id)
        self._services.holds.mark(endpoint.id)

    def _get(self, call: Call, name: str) -> Endpoint:
        with worded(_arn(call, name)):
            return self._services.deployments.get(name)

    def _changed(self, call: Call, endpoint: Endpoint) -> Answer:
        self._services.holds.mark(endpoint.id)
        return {"EndpointArn": str(arn_of(endpoint, call.account))}

    def _config(self, call: Call, endpoint: Endpoint) -> Mapping[str, Any]:
        """The document of the configuration that serves; empty when it was deleted."""
        name = endpoint.plan.config_name if endpoint.plan else endpoint.config_name
        try:
            return self._services.deployments.get_config(name).document
        except NotFound:
            return {}


def _deployment(request: Request) -> Request:
    """What an endpoint is asked for beside its configuration."""
    return {name: request[name] for name in ("DeploymentConfig",) if name in request}


def _arn(call: Call, name: str) -> Arn:
    return Arn(call.region, call.account, ENDPOINT, name)


def _busy(call: Call, endpoint: Endpoint) -> AwsError:
    return refused(f'Cannot update in-progress endpoint "{arn_of(endpoint, call.account)}".')
