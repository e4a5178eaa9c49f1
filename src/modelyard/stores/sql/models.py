"""Models in SQL: the port ``core.models.ports.ModelTable``.

Owns its statements and the form of a row. Refuses to know names' rules and who may delete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from modelyard.base.errors import AlreadyExists
from modelyard.base.paging import Listing, Page
from modelyard.core.models.model import Model, ModelContainer
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.listing import page
from modelyard.stores.sql.remembered import Remembered
from modelyard.stores.sql.tables.models import models
from modelyard.stores.sql.tags import remove_tags, write_tags
from modelyard.stores.sql.together import Together

_ADD = insert(models)
_BY_ID = select(models).where(models.c.id == bindparam("value"))
_BY_NAME = select(models).where(models.c.folded == bindparam("value"))


class SqlModelTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered = Remembered(database)
        self._together = Together(database)

    def add(self, model: Model, tags: Mapping[str, str]) -> None:
        row = _row(model)

        def change(connection: Connection) -> None:
            connection.execute(_ADD, row)
            write_tags(connection, model.id, tags)

        try:
            self._together.run(change)
        except IntegrityError as error:
            raise AlreadyExists(kind="model", name=model.name) from error

    def get(self, model_id: str) -> Model | None:
        return self._one(_BY_ID, model_id)

    def find(self, name: str) -> Model | None:
        return self._one(_BY_NAME, name.casefold())

    def list(self, listing: Listing) -> Page[Model]:
        # Not remembered: a page holds a hundred models, and the door remembers its encoded answer within a bound.
        with self._database.read() as connection:
            return page(connection, models, listing, _model)

    def remove(self, model_id: str) -> bool:
        with self._database.write() as connection:
            remove_tags(connection, model_id)
            return bool(connection.execute(delete(models).where(models.c.id == model_id)).rowcount)

    def _one(self, query: Select[Any], value: str) -> Model | None:
        return self._remembered.get((query is _BY_ID, value), lambda: self._read(query, value))

    def _read(self, query: Select[Any], value: str) -> Model | None:
        with self._database.read() as connection:
            row = connection.execute(query, {"value": value}).mappings().first()
            return _model(row) if row is not None else None


def _row(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "folded": model.name.casefold(),
        "door": model.door,
        "region": model.region,
        "containers": [_container_row(container) for container in model.containers],
        "document": dict(model.document),
        "network": model.network,
        "created": model.created,
        "modified": model.modified,
    }


def _container_row(container: ModelContainer) -> dict[str, Any]:
    return {
        "image": container.image,
        "artifact": container.artifact,
        "variables": dict(container.variables),
        "hostname": container.hostname,
        "mode": container.mode,
    }


def _model(row: RowMapping) -> Model:
    values = {name: value for name, value in row.items() if name not in ("folded", "containers")}
    return Model(**values, containers=tuple(ModelContainer(**container) for container in row["containers"]))
