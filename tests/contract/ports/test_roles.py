"""The contracts of role and policy tables, kept by those in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.core.identity.policies import PolicyTable
from modelyard.core.identity.roles import RoleTable
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.policies import SqlPolicyTable
from modelyard.stores.sql.roles import SqlRoleTable
from modelyard.testing.policy_table_kit import PolicyTableContract
from modelyard.testing.role_table_kit import RoleTableContract


class TestSqlRoleTable(RoleTableContract):
    @pytest.fixture
    def table(self, tmp_path: Path) -> Iterator[RoleTable]:
        database = Database(f"sqlite:///{tmp_path}/catalogue.db")
        database.migrate()
        yield SqlRoleTable(database)
        database.close()


class TestSqlPolicyTable(PolicyTableContract):
    @pytest.fixture
    def table(self, tmp_path: Path) -> Iterator[PolicyTable]:
        database = Database(f"sqlite:///{tmp_path}/catalogue.db")
        database.migrate()
        yield SqlPolicyTable(database)
        database.close()
