"""The SageMaker control plane as one AWS service: every operation that is offered, registered once.

Owns the list of families and the dialect's door. Refuses to know their operations: each family registers its own
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Service.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from modelyard.dialects.aws.protocol import AwsService, aws_door
from modelyard.dialects.plugin import Core, Dialect, Door
from modelyard.dialects.sagemaker.operations.endpoint_configs import EndpointConfigOperations
from modelyard.dialects.sagemaker.operations.endpoints import EndpointOperations
from modelyard.dialects.sagemaker.operations.lifecycle_configs import LifecycleConfigOperations
from modelyard.dialects.sagemaker.operations.models import ModelOperations
from modelyard.dialects.sagemaker.operations.notebooks import NotebookOperations
from modelyard.dialects.sagemaker.operations.tags import TagOperations
from modelyard.dialects.sagemaker.operations.training import TrainingOperations
from modelyard.dialects.sagemaker.services import SageMakerServices, services_of

OPERATIONS = (
    TrainingOperations,
    ModelOperations,
    EndpointConfigOperations,
    EndpointOperations,
    NotebookOperations,
    LifecycleConfigOperations,
    TagOperations,
)


def sagemaker_service(services: SageMakerServices) -> AwsService:
    """The service ``sagemaker`` over these core services."""
    service = AwsService("sagemaker")
    for operations in OPERATIONS:
        operations(services).register(service)
    return service


def open_doors(core: Core, threads: Executor) -> Sequence[Door]:
    """SageMaker's door."""
    return (aws_door((sagemaker_service(services_of(core)),), core, threads),)


DIALECT = Dialect(open_doors)
