"""The operations on tags: AddTags, ListTags, DeleteTags on every ARN of this door.

Owns how an ARN becomes a core object's id. Refuses to know limits and storage: core.models.tags has them
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from modelyard.base.errors import LimitExceeded, NotFound
from modelyard.core.models.tags import MAX_TAGS
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.sagemaker import arns
from modelyard.dialects.sagemaker.arns import Arn
from modelyard.dialects.sagemaker.errors import not_found, refused
from modelyard.dialects.sagemaker.pages import Query
from modelyard.dialects.sagemaker.services import Answer, Request, SageMakerServices
from modelyard.dialects.sagemaker.translate.tags import tags_in, tags_out


class Tagged(Protocol):
    """What a tag operation must know of the object that an ARN names."""

    @property
    def id(self) -> str: ...

    @property
    def region(self) -> str: ...


_FIND: Mapping[str, Callable[[SageMakerServices, str], Tagged | None]] = {
    arns.TRAINING_JOB: lambda services, name: services.jobs.get(name),
    arns.MODEL: lambda services, name: services.models.find(name),
    arns.ENDPOINT_CONFIG: lambda services, name: services.deployments.find_config(name),
    arns.ENDPOINT: lambda services, name: services.deployments.find(name),
    arns.NOTEBOOK: lambda services, name: services.notebooks.get(name),
    arns.LIFECYCLE_CONFIG: lambda services, name: services.lifecycle_configs.get(name),
}


class TagOperations:
    """Tags."""

    def __init__(self, services: SageMakerServices) -> None:
        self._services = services

    def register(self, service: AwsService) -> None:
        service.operation("AddTags")(self.add_tags)
        service.operation("ListTags", inline=True)(self.list_tags)
        service.operation("DeleteTags")(self.delete_tags)

    def add_tags(self, call: Call, request: Request) -> Answer:
        object_id = self._id(call, request["ResourceArn"])
        try:
            after = self._services.tags.add(object_id, tags_in(request["Tags"]))
        except LimitExceeded as error:
            raise AwsError(
                "ResourceLimitExceeded", f"A resource can have at most {MAX_TAGS} tags; remove some first."
            ) from error
        return {"Tags": tags_out(after)}

    def list_tags(self, call: Call, request: Request) -> Answer:
        Query(call.operation, request).after()  # one page holds all tags: any token is another query's
        return {"Tags": tags_out(self._services.tags.list(self._id(call, request["ResourceArn"])))}

    def delete_tags(self, call: Call, request: Request) -> Answer:
        self._services.tags.remove(self._id(call, request["ResourceArn"]), request["TagKeys"])
        return {}

    def _id(self, call: Call, text: str) -> str:
        arn = Arn.parse(text)
        if arn is None or arn.kind not in _FIND:
            raise refused(f"ResourceArn '{text}' names no kind of resource that is offered here.")
        try:
            found = _FIND[arn.kind](self._services, arn.name)
        except NotFound:
            found = None
        if found is None or arn.account != call.account or arn.region != found.region:
            raise not_found(arn)
        return found.id
