"""Training jobs: a user's script or an algorithm, from channels to a model.

Follows the container contract of https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html;
staging.py owns it.
"""

from __future__ import annotations

from modelyard.core.jobs.kinds import JobKind
from modelyard.core.jobs.staging import FolderStaging

KIND = JobKind(lambda inputs, account, limits: FolderStaging(inputs, account=account, limits=limits))
