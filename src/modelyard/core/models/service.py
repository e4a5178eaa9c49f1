"""The registry of models: made once under a name that stays, found by id or name, ended by any door.

Owns names and look-up. Refuses to know what an artifact holds or who serves it: a deployment keeps its own
copy, so deleting a model leaves what runs. Names follow one-core: a model made without one is named by
``base.ids.wire_name`` and keeps that name.
"""

from __future__ import annotations

from modelyard.base.clock import Clock
from modelyard.base.errors import AlreadyExists, NotFound
from modelyard.base.ids import Ids, by_id_or_name, wire_name
from modelyard.base.paging import Listing, Page
from modelyard.core.models.model import Model, NewModel
from modelyard.core.models.ports import ModelTable


class ModelService:
    """Thread-safe."""

    def __init__(self, table: ModelTable, clock: Clock, ids: Ids) -> None:
        self._table = table
        self._clock = clock
        self._ids = ids

    def create(self, new: NewModel) -> Model:
        """The model as stored, on disk with its tags. Raises AlreadyExists for a name that is taken, letter
        case ignored."""
        while True:
            model = self._named(new)
            try:
                self._table.add(model, new.tags)
            except AlreadyExists:
                if new.name is not None:
                    raise
                continue  # another door took the derived name between the look and the write
            return model

    def get(self, id_or_name: str) -> Model:
        """The model of that id, else of that exact name. Raises NotFound."""
        return by_id_or_name(id_or_name, "model", self._table.get, self._table.find)

    def find(self, name: str) -> Model | None:
        """The model of that name, letter case ignored (names in ARNs are in lower case)."""
        return self._table.find(name)

    def list(self, listing: Listing) -> Page[Model]:
        """One page of models."""
        return self._table.list(listing)

    def delete(self, id_or_name: str) -> None:
        """End the model and its tags. Raises NotFound. Artifacts and running deployments stay."""
        model = self.get(id_or_name)
        if not self._table.remove(model.id):
            raise NotFound(kind="model", name=id_or_name)

    def _named(self, new: NewModel) -> Model:
        model_id, now = self._ids.new_id(), self._clock.now()
        name = new.name or wire_name(new.display_name, model_id, lambda name: self._table.find(name) is not None)
        return Model(
            id=model_id,
            name=name,
            door=new.door,
            region=new.region,
            containers=new.containers,
            document=new.document,
            created=now,
            modified=now,
            network=new.network,
        )
