"""The SageMaker control plane as one AWS service: every operation that is offered, registered once.

Owns the list of families. Refuses to know their operations: each family registers its own.
"""

from __future__ import annotations

from modelyard.dialects.aws.protocol import AwsService
from modelyard.dialects.sagemaker.operations.endpoint_configs import EndpointConfigOperations
from modelyard.dialects.sagemaker.operations.endpoints import EndpointOperations
from modelyard.dialects.sagemaker.operations.lifecycle_configs import LifecycleConfigOperations
from modelyard.dialects.sagemaker.operations.models import ModelOperations
from modelyard.dialects.sagemaker.operations.notebooks import NotebookOperations
from modelyard.dialects.sagemaker.operations.tags import TagOperations
from modelyard.dialects.sagemaker.operations.training import TrainingOperations
from modelyard.dialects.sagemaker.services import SageMakerServices

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
