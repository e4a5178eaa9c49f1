"""What models need from outside: a table of models and a table of tags.

Owns the two ports, each with its contract in prose. Refuses to know SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from modelyard.base.paging import Listing, Page
from modelyard.core.models.model import Model


class ModelTable(Protocol):
    """Where models are kept.

    Owns rows. Thread-safe. ``add`` and ``remove`` are one transaction each, on disk when they return; ``add`` stores
    the model's tags with it and raises AlreadyExists for a name that is taken, letter case ignored. ``remove`` ends the
    tags too and says whether there was a model. ``list`` pages by (sort value, id): a model made or removed between two
    pages neither repeats nor hides another.
    """

    def add(self, model: Model, tags: Mapping[str, str]) -> None: ...

    def get(self, model_id: str) -> Model | None: ...

    def find(self, name: str) -> Model | None:
        """The model of that name, letter case ignored."""
        ...

    def list(self, listing: Listing) -> Page[Model]: ...

    def remove(self, model_id: str) -> bool: ...


class TagTable(Protocol):
    """Where tags are kept.

    Tags of any core object, by its id; it does not know whether the object exists. ``add`` sets all of the given keys
    or, raising LimitExceeded past ``limit`` in all, none.
    """

    def add(self, object_id: str, values: Mapping[str, str], limit: int) -> Mapping[str, str]: ...

    def list(self, object_id: str) -> Mapping[str, str]: ...

    def remove(self, object_id: str, keys: Iterable[str]) -> None: ...
