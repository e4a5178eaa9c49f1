"""Tags in SQL: the port ``core.models.ports.TagTable``.

Owns the rows of every object's tags. ``write_tags`` and ``remove_tags`` are for the stores of other nouns,
which set and end an object's tags in the transaction that makes and ends the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, func, insert, select, update

from modelyard.base.errors import LimitExceeded
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.tags import tags


def write_tags(connection: Connection, object_id: str, values: Mapping[str, str]) -> None:
    """Set tags inside the caller's transaction; a new key goes to the end, a known one keeps its place."""
    if not values:
        return
    mine = tags.c.object_id == object_id
    known = set(connection.execute(select(tags.c.key).where(mine)).scalars())
    last = connection.execute(select(func.max(tags.c.position)).where(mine)).scalar() or 0
    for key in known & set(values):
        connection.execute(update(tags).where(mine, tags.c.key == key).values(value=values[key]))
    fresh = [key for key in values if key not in known]
    if fresh:
        rows = [
            {"object_id": object_id, "key": key, "value": values[key], "position": last + place}
            for place, key in enumerate(fresh, 1)
        ]
        connection.execute(insert(tags), rows)


def remove_tags(connection: Connection, object_id: str) -> None:
    """End every tag of an object inside the caller's transaction."""
    connection.execute(delete(tags).where(tags.c.object_id == object_id))


class SqlTagTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, object_id: str, values: Mapping[str, str], limit: int) -> Mapping[str, str]:
        with self._database.write() as connection:
            write_tags(connection, object_id, values)
            after = _read(connection, object_id)
            if len(after) > limit:
                raise LimitExceeded(what=f"an object has at most {limit} tags; this would make {len(after)}")
            return after

    def list(self, object_id: str) -> Mapping[str, str]:
        with self._database.read() as connection:
            return _read(connection, object_id)

    def remove(self, object_id: str, keys: Iterable[str]) -> None:
        with self._database.write() as connection:
            connection.execute(delete(tags).where(tags.c.object_id == object_id, tags.c.key.in_(list(keys))))


def _read(connection: Connection, object_id: str) -> dict[str, str]:
    rows = connection.execute(
        select(tags.c.key, tags.c.value).where(tags.c.object_id == object_id).order_by(tags.c.position)
    )
    return {key: value for key, value in rows}  # noqa: C416
