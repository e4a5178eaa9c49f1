"""The operations on lifecycle configurations of notebook instances.

Owns what is asked of core. Refuses to read the scripts, which nothing runs here
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateNotebookInstanceLifecycleConfig.html).
"""

from __future__ import annotations

from modelyard.dialects.aws.protocol import AwsService, Call
from modelyard.dialects.sagemaker.arns import LIFECYCLE_CONFIG, Arn
from modelyard.dialects.sagemaker.errors import worded
from modelyard.dialects.sagemaker.pages import Query
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.notebooks import config_description, config_summary
from modelyard.dialects.sagemaker.translate.tags import tags_in
from modelyard.dialects.sagemaker.translate.training import DOOR

_SCRIPTS = ("OnCreate", "OnStart")


class LifecycleConfigOperations:
    """Lifecycle configurations of notebook instances."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("CreateNotebookInstanceLifecycleConfig")(self.create_notebook_instance_lifecycle_config)
        service.operation("DescribeNotebookInstanceLifecycleConfig", inline=True)(
            self.describe_notebook_instance_lifecycle_config
        )
        service.operation("ListNotebookInstanceLifecycleConfigs", inline=True)(
            self.list_notebook_instance_lifecycle_configs
        )
        service.operation("UpdateNotebookInstanceLifecycleConfig")(self.update_notebook_instance_lifecycle_config)
        service.operation("DeleteNotebookInstanceLifecycleConfig")(self.delete_notebook_instance_lifecycle_config)

    def create_notebook_instance_lifecycle_config(self, call: Call, request: Request) -> Answer:
        arn = _arn(call, request)
        tags = tags_in(request.get("Tags"))
        with worded(arn):
            self._services.lifecycle_configs.create(arn.name, DOOR, call.region, _document(request), tags)
        return {"NotebookInstanceLifecycleConfigArn": str(arn)}

    def describe_notebook_instance_lifecycle_config(self, call: Call, request: Request) -> Answer:
        arn = _arn(call, request)
        with worded(arn):
            return config_description(self._services.lifecycle_configs.get(arn.name), call.account)

    def list_notebook_instance_lifecycle_configs(self, call: Call, request: Request) -> Answer:
        query = Query(call.operation, request, order="ascending")
        page = self._services.lifecycle_configs.list(query.listing())
        shown = (config_summary(config, call.account) for config in page.items)
        return query.answer("NotebookInstanceLifecycleConfigs", shown, page.next)

    def update_notebook_instance_lifecycle_config(self, call: Call, request: Request) -> Answer:
        arn = _arn(call, request)
        with worded(arn):
            self._services.lifecycle_configs.update(arn.name, _document(request))
        return {}

    def delete_notebook_instance_lifecycle_config(self, call: Call, request: Request) -> None:
        arn = _arn(call, request)
        with worded(arn):
            self._services.lifecycle_configs.delete(arn.name)


def _arn(call: Call, request: Request) -> Arn:
    return Arn(call.region, call.account, LIFECYCLE_CONFIG, request["NotebookInstanceLifecycleConfigName"])


def _document(request: Request) -> Answer:
    return {name: request[name] for name in _SCRIPTS if name in request}
