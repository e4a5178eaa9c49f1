"""What notebooks need from outside: a table of instances and one of lifecycle configurations.

Both own rows, are thread-safe and on disk when a writing call returns. ``add`` stores the tags with the
object and raises AlreadyExists for a taken name (letter case counts); ``remove`` ends the tags too.
``replace`` writes only while the row is still in the ``seen`` state and says whether it did, so that of two
racing requests one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from modelyard.base.paging import Listing, Page
from modelyard.core.notebooks.model import LifecycleConfig, Notebook, NotebookQuery, NotebookState


class NotebookTable(Protocol):
    """Where notebook instances are kept, by the contract above."""

    def add(self, notebook: Notebook, tags: Mapping[str, str]) -> None: ...

    def get(self, id_or_name: str) -> Notebook | None: ...

    def list(self, query: NotebookQuery) -> Page[Notebook]: ...

    def replace(self, notebook: Notebook, seen: NotebookState) -> bool: ...

    def remove(self, notebook_id: str, seen: NotebookState) -> bool: ...


class LifecycleConfigTable(Protocol):
    """Where lifecycle configurations are kept, by the contract above."""

    def add(self, config: LifecycleConfig, tags: Mapping[str, str]) -> None: ...

    def get(self, id_or_name: str) -> LifecycleConfig | None: ...

    def list(self, listing: Listing) -> Page[LifecycleConfig]: ...

    def replace(self, config: LifecycleConfig) -> bool: ...

    def remove(self, config_id: str) -> bool: ...
