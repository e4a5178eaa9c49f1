"""ARNs of SageMaker objects: made from names, and read back for tags.

Owns their form (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html):
the name is in lower case in the ARNs of models, endpoint configurations and endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

TRAINING_JOB = "training-job"
MODEL = "model"
ENDPOINT_CONFIG = "endpoint-config"
ENDPOINT = "endpoint"
NOTEBOOK = "notebook-instance"
LIFECYCLE_CONFIG = "notebook-instance-lifecycle-config"

_LOWERED = frozenset({MODEL, ENDPOINT_CONFIG, ENDPOINT})


@dataclass(frozen=True, slots=True)
class Arn:
    """One object's ARN.

    >>> str(Arn("us-east-1", "000000000000", MODEL, "Ridge"))
    'arn:aws:sagemaker:us-east-1:000000000000:model/ridge'
    >>> Arn.parse("arn:aws:sagemaker:us-east-1:000000000000:model/ridge").name
    'ridge'
    """

    region: str
    account: str
    kind: str
    name: str

    def __str__(self) -> str:
        name = self.name.lower() if self.kind in _LOWERED else self.name
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{self.kind}/{name}"

    @classmethod
    def parse(cls, text: str) -> Arn | None:
        """None when the text is no ARN of an object of SageMaker."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or parts[2] != "sagemaker":
            return None
        kind, slash, name = parts[5].partition("/")
        return cls(parts[3], parts[4], kind, name) if slash and name else None
