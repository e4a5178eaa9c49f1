"""IAM roles in SQL: the port ``core.identity.roles.RoleTable``.

Owns one row for each name, which outlives its role: a deleted one is kept as such until it is made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select

from modelyard.base.errors import AlreadyExists
from modelyard.core.identity.roles import Role
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.roles import iam_roles


class SqlRoleTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Role | None:
        with self._database.read() as connection:
            row = connection.execute(select(iam_roles).where(iam_roles.c.name == name)).mappings().first()
            return _role(row) if row is not None else None

    def living(self) -> tuple[Role, ...]:
        with self._database.read() as connection:
            chosen = select(iam_roles).where(iam_roles.c.deleted.is_(None)).order_by(iam_roles.c.name)
            return tuple(map(_role, connection.execute(chosen).mappings()))

    def add(self, role: Role) -> None:
        with self._database.write() as connection:
            deleted = connection.execute(select(iam_roles.c.deleted).where(iam_roles.c.name == role.name)).first()
            if deleted is not None and deleted[0] is None:
                raise AlreadyExists(kind="role", name=role.name)
            _replace(connection, role)

    def put(self, role: Role) -> None:
        with self._database.write() as connection:
            _replace(connection, role)

    def bury(self, role: Role, at: float) -> None:
        with self._database.write() as connection:
            _replace(connection, replace(role, deleted=at))


def _role(row: Mapping[Any, Any]) -> Role:
    return Role(**{**row, "attached": tuple(row["attached"])})


def _replace(connection: Any, role: Role) -> None:
    values = {column.name: getattr(role, column.name) for column in iam_roles.columns}
    connection.execute(delete(iam_roles).where(iam_roles.c.name == role.name))
    connection.execute(
        insert(iam_roles).values({**values, "document": dict(role.document), "inline": dict(role.inline)})
    )
