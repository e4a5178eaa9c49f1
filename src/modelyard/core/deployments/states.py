"""The one table of an endpoint's transitions.

Published states (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html):
queued, building and starting are Creating; the others have names of their own there.
"""

from __future__ import annotations

from modelyard.base.errors import Conflict
from modelyard.core.deployments.model import EndpointState

_S = EndpointState

TRANSITIONS: dict[EndpointState, frozenset[EndpointState]] = {
    _S.QUEUED: frozenset({_S.BUILDING, _S.FAILED, _S.DELETING}),
    _S.BUILDING: frozenset({_S.STARTING, _S.FAILED, _S.DELETING}),
    _S.STARTING: frozenset({_S.SERVING, _S.FAILED, _S.DELETING}),
    _S.SERVING: frozenset({_S.UPDATING, _S.DELETING}),
    _S.UPDATING: frozenset({_S.SERVING, _S.ROLLING_BACK, _S.DELETING}),
    _S.ROLLING_BACK: frozenset({_S.SERVING, _S.DELETING}),
    _S.FAILED: frozenset({_S.DELETING}),
    _S.DELETING: frozenset(),
}

CREATING = frozenset({_S.QUEUED, _S.BUILDING, _S.STARTING})
ANSWERING = frozenset({_S.SERVING, _S.UPDATING, _S.ROLLING_BACK})
SETTLED = frozenset({_S.SERVING, _S.FAILED})


class EndpointBusy(Conflict):
    """Endpoint {name!r} is {state}; only one that is serving can be changed, and one that is deleting is going."""


def check(name: str, current: EndpointState, wanted: EndpointState) -> None:
    """Raise EndpointBusy unless the table has this transition."""
    if wanted not in TRANSITIONS[current]:
        raise EndpointBusy(name=name, state=current.value)
