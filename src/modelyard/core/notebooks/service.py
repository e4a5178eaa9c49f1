"""Notebook instances: kept with their states; none starts until JupyterLab is part of the product.

Owns the transitions and the reason why a start fails. Refuses to know how a door words a refusal
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeNotebookInstance.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.errors import NotFound
from modelyard.base.ids import Ids
from modelyard.base.paging import Page
from modelyard.core.notebooks.model import NewNotebook, Notebook, NotebookQuery, NotebookState
from modelyard.core.notebooks.ports import LifecycleConfigTable, NotebookTable
from modelyard.core.notebooks.states import check

MISSING = (
    "This version of Modelyard has no JupyterLab to start a notebook instance with; "
    "run Jupyter yourself with the variables that `modelyard env` prints."
)


class NotebookService:
    """Thread-safe."""

    def __init__(self, table: NotebookTable, configs: LifecycleConfigTable, clock: Clock, ids: Ids) -> None:
        self._table = table
        self._configs = configs
        self._clock = clock
        self._ids = ids

    def create(self, new: NewNotebook) -> Notebook:
        """A new instance, ended in FAILED with ``MISSING``. Raises AlreadyExists for a taken name, NotFound for
        a lifecycle configuration that there is not."""
        self._check_config(new.lifecycle_config)
        now = self._clock.now()
        pending = Notebook(
            id=self._ids.new_id(),
            name=new.name,
            door=new.door,
            region=new.region,
            state=NotebookState.PENDING,
            document=new.document,
            created=now,
            modified=now,
            lifecycle_config=new.lifecycle_config,
            repository=new.repository,
            more_repositories=new.more_repositories,
        )
        notebook = _through(pending, NotebookState.FAILED, failure_reason=MISSING)
        self._table.add(notebook, new.tags)
        return notebook

    def get(self, id_or_name: str) -> Notebook:
        """Raises NotFound."""
        notebook = self._table.get(id_or_name)
        if notebook is None:
            raise NotFound(kind="notebook", name=id_or_name)
        return notebook

    def list(self, query: NotebookQuery) -> Page[Notebook]:
        """One page of instances."""
        return self._table.list(query)

    def start(self, id_or_name: str) -> Notebook:
        """Start a stopped instance, which ends in FAILED with ``MISSING``. Raises NotFound, WrongState."""
        return self._move(id_or_name, NotebookState.PENDING, NotebookState.FAILED, failure_reason=MISSING)

    def stop(self, id_or_name: str) -> Notebook:
        """Stop an instance that is in service. Raises NotFound, WrongState."""
        return self._move(id_or_name, NotebookState.STOPPING, NotebookState.STOPPED)

    def update(self, id_or_name: str, changes: Mapping[str, Any]) -> Notebook:
        """Change fields of a stopped instance. Raises NotFound (also for a lifecycle configuration that there is
        not), WrongState."""
        self._check_config(changes.get("lifecycle_config"))
        return self._move(id_or_name, NotebookState.UPDATING, NotebookState.STOPPED, **changes)

    def delete(self, id_or_name: str) -> None:
        """End a stopped or failed instance and its tags. Raises NotFound, WrongState."""
        while True:
            notebook = self.get(id_or_name)
            check(notebook.name, notebook.state, NotebookState.DELETING)
            if self._table.remove(notebook.id, seen=notebook.state):
                return

    def _move(self, id_or_name: str, *path: NotebookState, **changes: Any) -> Notebook:
        """Go through ``path`` in one write: nothing runs that would take time between its states."""
        while True:
            notebook = self.get(id_or_name)
            moved = _through(notebook, *path, modified=self._clock.now(), **changes)
            if self._table.replace(moved, seen=notebook.state):
                return moved

    def _check_config(self, name: str | None) -> None:
        if name is not None and self._configs.get(name) is None:
            raise NotFound(kind="lifecycle configuration", name=name)


def _through(notebook: Notebook, *path: NotebookState, **changes: Any) -> Notebook:
    state = notebook.state
    for target in path:
        check(notebook.name, state, target)
        state = target
    return replace(notebook, state=state, **changes)
