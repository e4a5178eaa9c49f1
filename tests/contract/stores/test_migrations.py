"""The tables as declared are the tables that the migrations make."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from modelyard.stores.sql import tables
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.metadata import metadata

for module in pkgutil.iter_modules(tables.__path__):
    importlib.import_module(f"{tables.__name__}.{module.name}")


def test_declared_and_migrated_tables_are_the_same(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    database.close()
    engine = create_engine(f"sqlite:///{tmp_path}/catalogue.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        made = inspect(connection)
        for table in metadata.sorted_tables:
            required = {column["name"] for column in made.get_columns(table.name) if not column["nullable"]}
            assert required == {column.name for column in table.columns if not column.nullable}, table.name
    engine.dispose()
