"""The contract of role tables, kept by the one in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.core.identity.roles import RoleTable
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.roles import SqlRoleTable
from modelyard.testing.role_table_kit import RoleTableContract


class TestSqlRoleTable(RoleTableContract):
    @pytest.fixture
    def table(self, tmp_path: Path) -> Iterator[RoleTable]:
        database = Database(f"sqlite:///{tmp_path}/catalogue.db")
        database.migrate()
        yield SqlRoleTable(database)
        database.close()
