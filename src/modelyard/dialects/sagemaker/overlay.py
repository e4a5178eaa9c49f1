"""What the published document demands or allows beyond botocore's shapes.

Owns the difference: members that botocore calls optional and the service refuses to miss, and values that its
enums lack. Where the two disagree otherwise, botocore wins on the wire. The members of a production variant
depend on one another: translate/endpoint_configs.py.
"""

from __future__ import annotations

from modelyard.dialects.aws.protocol import Overlay

CREATE_TRAINING_JOB = Overlay(
    required={"CreateTrainingJobRequest": ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition")}
)
CREATE_MODEL = Overlay(required={"CreateModelInput": ("ExecutionRoleArn",)})
LIST_NOTEBOOKS = Overlay(enums={"NotebookInstanceSortKey": ("LastModifiedTime",)})
