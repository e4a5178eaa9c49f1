"""The one table of a notebook instance's transitions.

Pending -> InService -> Stopping -> Stopped -> (Pending | Updating | Deleting); Failed -> Deleting.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelyard.base.errors import ModelyardError
from modelyard.core.notebooks.model import NotebookState

FROM: Mapping[NotebookState, tuple[NotebookState, ...]] = {
    NotebookState.PENDING: (NotebookState.STOPPED,),
    NotebookState.IN_SERVICE: (NotebookState.PENDING,),
    NotebookState.STOPPING: (NotebookState.IN_SERVICE,),
    NotebookState.STOPPED: (NotebookState.STOPPING, NotebookState.UPDATING),
    NotebookState.UPDATING: (NotebookState.STOPPED,),
    NotebookState.DELETING: (NotebookState.STOPPED, NotebookState.FAILED),
    NotebookState.FAILED: (NotebookState.PENDING, NotebookState.UPDATING, NotebookState.STOPPING),
}
"""The states from which each one may be entered; a new notebook begins in PENDING."""


class WrongState(ModelyardError):
    """Notebook instance {name!r} is {state}; it becomes {target} only from: {allowed}."""

    code = "wrong_state"

    def __init__(self, name: str, state: NotebookState, target: NotebookState) -> None:
        self.name, self.state, self.target = name, state, target
        self.allowed = FROM[target]
        super().__init__(name=name, state=str(state), target=str(target), allowed=", ".join(self.allowed))


def check(name: str, state: NotebookState, target: NotebookState) -> None:
    """Raises WrongState unless the table has this transition."""
    if state not in FROM[target]:
        raise WrongState(name, state, target)
