"""The operations on endpoint configurations.

Owns what is asked of core and how a refusal is worded. Refuses to know members' forms: translate/ has them
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html).
"""

from __future__ import annotations

from modelyard.base.errors import NotFound
from modelyard.dialects.aws.protocol import AwsService, Call
from modelyard.dialects.sagemaker.arns import ENDPOINT_CONFIG, MODEL, Arn
from modelyard.dialects.sagemaker.errors import not_found, refused, worded
from modelyard.dialects.sagemaker.pages import Query
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.endpoint_configs import description, new_config, summary


class EndpointConfigOperations:
    """Endpoint configurations."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("CreateEndpointConfig")(self.create_endpoint_config)
        service.operation("DescribeEndpointConfig", inline=True, remembered=True)(self.describe_endpoint_config)
        service.operation("ListEndpointConfigs", inline=True, remembered=True)(self.list_endpoint_configs)
        service.operation("DeleteEndpointConfig")(self.delete_endpoint_config)

    def create_endpoint_config(self, call: Call, request: Request) -> Answer:
        new = new_config(request, call.region)
        arn = Arn(call.region, call.account, ENDPOINT_CONFIG, request["EndpointConfigName"])
        with worded(arn):
            try:
                self._services.deployments.create_config(new)
            except NotFound as error:
                raise model_missing(call, error) from error
        return {"EndpointConfigArn": str(arn)}

    def describe_endpoint_config(self, call: Call, request: Request) -> Answer:
        name = request["EndpointConfigName"]
        with worded(Arn(call.region, call.account, ENDPOINT_CONFIG, name)):
            config = self._services.deployments.get_config(name)
        return description(config, call.account)

    def list_endpoint_configs(self, call: Call, request: Request) -> Answer:
        query = Query(call.operation, request, from_created=True)
        page = self._services.deployments.list_configs(query.listing())
        return query.answer("EndpointConfigs", (summary(config, call.account) for config in page.items), page.next)

    def delete_endpoint_config(self, call: Call, request: Request) -> None:
        name = request["EndpointConfigName"]
        with worded(Arn(call.region, call.account, ENDPOINT_CONFIG, name)):
            self._services.deployments.delete_config(name)


def model_missing(call: Call, error: NotFound) -> Exception:
    """What a configuration or an endpoint lacks, as the service words it: a model, the data of one, or a
    configuration."""
    kind, name = error.fields["kind"], error.fields["name"]
    if kind == "model data for model":
        return refused(f'Could not find model data for model "{Arn(call.region, call.account, MODEL, name)}".')
    return not_found(Arn(call.region, call.account, MODEL if kind == "model" else ENDPOINT_CONFIG, name))
