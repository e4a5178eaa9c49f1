"""Migrations make the tables that the code declares, once."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import modelyard.stores.sql.tables as tables
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.metadata import metadata


def test_the_newest_revision_is_what_the_tables_declare(tmp_path: Path) -> None:
    for module in pkgutil.iter_modules(tables.__path__, f"{tables.__name__}."):
        importlib.import_module(module.name)
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_second_migration_finds_nothing_to_do(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    before = database.version()
    database.migrate()
    assert database.version() == before
