"""IAM policies in SQL: the port ``core.identity.policies.PolicyTable``.

Owns one row for each policy, its versions inside. Refuses to know what a document says.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelyard.base.errors import AlreadyExists
from modelyard.core.identity.policies import Policy, PolicyVersion
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.policies import iam_policies


class SqlPolicyTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Policy | None:
        with self._database.read() as connection:
            row = connection.execute(select(iam_policies).where(iam_policies.c.name == name)).mappings().first()
            if row is None:
                return None
            versions = tuple(PolicyVersion(**version) for version in row["versions"])
            return Policy(**{**row, "versions": versions})

    def add(self, policy: Policy) -> None:
        try:
            with self._database.write() as connection:
                connection.execute(insert(iam_policies).values(_values(policy)))
        except IntegrityError as error:
            raise AlreadyExists(kind="policy", name=policy.name) from error

    def put(self, policy: Policy) -> None:
        with self._database.write() as connection:
            where = iam_policies.c.name == policy.name
            connection.execute(update(iam_policies).where(where).values(_values(policy)))

    def remove(self, name: str) -> bool:
        with self._database.write() as connection:
            return bool(connection.execute(delete(iam_policies).where(iam_policies.c.name == name)).rowcount)


def _values(policy: Policy) -> dict[str, Any]:
    values = {column.name: getattr(policy, column.name) for column in iam_policies.columns}
    versions = [asdict(version) for version in policy.versions]
    return {**values, "versions": versions, "document": dict(policy.document)}
