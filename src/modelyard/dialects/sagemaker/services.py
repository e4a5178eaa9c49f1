"""What SageMaker's operations work with: core services, and what the door holds and shows of its own.

Owns the choice among what a dialect is given. Refuses to know how any of it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelyard.core.deployments.service import DeploymentService
from modelyard.core.jobs.ports import Inputs
from modelyard.core.jobs.service import JobService
from modelyard.core.models.service import ModelService
from modelyard.core.models.tags import TagService
from modelyard.core.notebooks.lifecycle import LifecycleConfigService
from modelyard.core.notebooks.service import NotebookService
from modelyard.dialects.plugin import Core
from modelyard.dialects.sagemaker.hold import Holds

Request = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SageMakerServices:
    """``default_role`` is the name of the role that objects of other doors are shown with; ``stop_grace``
    the seconds between SIGTERM and SIGKILL of a job made here."""

    jobs: JobService
    models: ModelService
    tags: TagService
    deployments: DeploymentService
    notebooks: NotebookService
    lifecycle_configs: LifecycleConfigService
    inputs: Inputs
    holds: Holds
    default_role: str
    stop_grace: float

    def role_arn(self, account: str) -> str:
        return f"arn:aws:iam::{account}:role/{self.default_role}"


def services_of(core: Core) -> SageMakerServices:
    """Those of this core, with holds of their own."""
    settings = core.settings
    return SageMakerServices(
        jobs=core.jobs,
        models=core.models,
        tags=core.tags,
        deployments=core.deployments,
        notebooks=core.notebooks,
        lifecycle_configs=core.lifecycle_configs,
        inputs=core.inputs,
        holds=Holds(settings.describe_hold, core.clock),
        default_role=settings.default_role,
        stop_grace=settings.stop_grace,
    )
