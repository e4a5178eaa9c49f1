"""The core's states as the service words them, each noun once (section 4 of the client notes).

Owns the words and the way back from a filter. Refuses to know what leads from one state to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from modelyard.core.deployments.model import EndpointState
from modelyard.core.jobs.model import JobState
from modelyard.core.notebooks.model import NotebookState

S = TypeVar("S", bound=StrEnum)

TRAINING: Mapping[JobState, str] = {
    JobState.QUEUED: "InProgress",
    JobState.STARTING: "InProgress",
    JobState.RUNNING: "InProgress",
    JobState.STOPPING: "Stopping",
    JobState.STOPPED: "Stopped",
    JobState.SUCCEEDED: "Completed",
    JobState.FAILED: "Failed",
}

ENDPOINT: Mapping[EndpointState, str] = {
    EndpointState.QUEUED: "Creating",
    EndpointState.BUILDING: "Creating",
    EndpointState.STARTING: "Creating",
    EndpointState.SERVING: "InService",
    EndpointState.UPDATING: "Updating",
    EndpointState.ROLLING_BACK: "RollingBack",
    EndpointState.FAILED: "Failed",
    EndpointState.DELETING: "Deleting",
}

NOTEBOOK: Mapping[NotebookState, str] = {
    NotebookState.PENDING: "Pending",
    NotebookState.IN_SERVICE: "InService",
    NotebookState.STOPPING: "Stopping",
    NotebookState.STOPPED: "Stopped",
    NotebookState.UPDATING: "Updating",
    NotebookState.DELETING: "Deleting",
    NotebookState.FAILED: "Failed",
}


def states_of(words: Mapping[S, str], status: str | None) -> frozenset[str] | None:
    """The core's states that the service calls ``status``; None for any. A status without one gives none.

    >>> sorted(states_of(TRAINING, "InProgress"))
    ['queued', 'running', 'starting']
    """
    if status is None:
        return None
    return frozenset(str(state) for state, word in words.items() if word == status)
