"""Lifecycle configurations: named scripts that notebook instances refer to.

Owns their making, changing and ending. They are kept and shown; nothing runs them before notebook instances
themselves run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.errors import NotFound
from modelyard.base.ids import Ids
from modelyard.base.paging import Listing, Page
from modelyard.core.notebooks.model import LifecycleConfig
from modelyard.core.notebooks.ports import LifecycleConfigTable


class LifecycleConfigService:
    """Thread-safe."""

    def __init__(self, table: LifecycleConfigTable, clock: Clock, ids: Ids) -> None:
        self._table = table
        self._clock = clock
        self._ids = ids

    def create(
        self, name: str, door: str, region: str, document: Mapping[str, Any], tags: Mapping[str, str]
    ) -> LifecycleConfig:
        """Raises AlreadyExists for a taken name."""
        now = self._clock.now()
        config = LifecycleConfig(self._ids.new_id(), name, door, region, document, now, now)
        self._table.add(config, tags)
        return config

    def get(self, id_or_name: str) -> LifecycleConfig:
        """Raises NotFound."""
        config = self._table.get(id_or_name)
        if config is None:
            raise NotFound(kind="lifecycle configuration", name=id_or_name)
        return config

    def list(self, listing: Listing) -> Page[LifecycleConfig]:
        """One page of configurations."""
        return self._table.list(listing)

    def update(self, id_or_name: str, document: Mapping[str, Any]) -> LifecycleConfig:
        """Replace the scripts. Raises NotFound."""
        config = replace(self.get(id_or_name), document=document, modified=self._clock.now())
        if not self._table.replace(config):
            raise NotFound(kind="lifecycle configuration", name=id_or_name)
        return config

    def delete(self, id_or_name: str) -> None:
        """Raises NotFound. Instances that name it keep the name."""
        if not self._table.remove(self.get(id_or_name).id):
            raise NotFound(kind="lifecycle configuration", name=id_or_name)
