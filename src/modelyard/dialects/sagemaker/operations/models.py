"""The operations on models.

Owns what is asked of core. Refuses to know members' forms: translate/ has them
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html).
"""

from __future__ import annotations

from modelyard.dialects.aws.protocol import AwsService, Call
from modelyard.dialects.sagemaker.arns import MODEL, Arn
from modelyard.dialects.sagemaker.errors import worded
from modelyard.dialects.sagemaker.overlay import CREATE_MODEL
from modelyard.dialects.sagemaker.pages import Query
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.models import description, new_model, summary


class ModelOperations:
    """Models."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("CreateModel", overlay=CREATE_MODEL)(self.create_model)
        service.operation("DescribeModel", inline=True, remembered=True)(self.describe_model)
        service.operation("ListModels", inline=True, remembered=True)(self.list_models)
        service.operation("DeleteModel")(self.delete_model)

    def create_model(self, call: Call, request: Request) -> Answer:
        new = new_model(request, call.region)
        arn = Arn(call.region, call.account, MODEL, request["ModelName"])
        with worded(arn):
            self._services.models.create(new)
        return {"ModelArn": str(arn)}

    def describe_model(self, call: Call, request: Request) -> Answer:
        name = request["ModelName"]
        with worded(Arn(call.region, call.account, MODEL, name)):
            model = self._services.models.get(name)
        return description(model, call.account, self._services.role_arn(call.account))

    def list_models(self, call: Call, request: Request) -> Answer:
        query = Query(call.operation, request, from_created=True)
        page = self._services.models.list(query.listing())
        return query.answer("Models", (summary(model, call.account) for model in page.items), page.next)

    def delete_model(self, call: Call, request: Request) -> None:
        name = request["ModelName"]
        with worded(Arn(call.region, call.account, MODEL, name)):
            self._services.models.delete(name)
