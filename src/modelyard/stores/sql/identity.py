"""Keys in SQL: the port ``core.identity.ports.KeyTable``.

Owns the rows. Refuses to know secrets: what it keeps of one is sealed or a digest before it comes here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from modelyard.base.errors import AlreadyExists
from modelyard.core.identity.ports import KeyRow
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.identity import keys


class SqlKeyTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, row: KeyRow) -> None:
        values = {column.name: getattr(row, column.name) for column in keys.columns}
        try:
            with self._database.write() as connection:
                connection.execute(insert(keys).values(values))
        except IntegrityError as error:
            raise AlreadyExists(kind="key", name=row.id) from error

    def get(self, key_id: str) -> KeyRow | None:
        return self._one(keys.c.id == key_id)

    def find_digest(self, digest: str) -> KeyRow | None:
        return self._one(keys.c.digest == digest)

    def all(self) -> tuple[KeyRow, ...]:
        with self._database.read() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created, keys.c.id)).mappings()
            return tuple(KeyRow(**row) for row in rows)

    def remove(self, key_id: str) -> bool:
        return bool(self._delete((keys.c.id == key_id) | (keys.c.principal == key_id)))

    def remove_owned(self, owner: str) -> int:
        return self._delete(keys.c.owner == owner)

    def remove_expired(self, now: float) -> int:
        return self._delete(keys.c.expires <= now)

    def _one(self, condition: Any) -> KeyRow | None:
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(condition)).mappings().first()
            return KeyRow(**row) if row is not None else None

    def _delete(self, condition: Any) -> int:
        with self._database.write() as connection:
            return connection.execute(delete(keys).where(condition)).rowcount
