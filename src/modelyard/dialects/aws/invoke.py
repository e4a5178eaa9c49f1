"""AWS at the front: no predictions, but the words of its refusals.

InvokeEndpoint is SageMaker's and has a codec of its own there. Imports no botocore, as nothing that the front loads.
"""

from __future__ import annotations

from modelyard.core.deployments.ports import Predictions
from modelyard.dialects.aws.refusals import refuse

PREDICTIONS = Predictions(codecs=lambda _account, _region: (), refuse=refuse)
