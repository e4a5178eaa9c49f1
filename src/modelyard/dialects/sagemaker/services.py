"""What the SageMaker door needs: core services and what it shows of its own, handed over by app."""

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
    default_role: str = "ModelyardRole"
    stop_grace: float = 120.0

    def role_arn(self, account: str) -> str:
        return f"arn:aws:iam::{account}:role/{self.default_role}"
