"""Migrations make the tables that the code declares, once."""

from __future__ import annotations

import re
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from modelyard.stores.sql.database import Database
from modelyard.stores.sql.tables.metadata import metadata


def upgraded(folder: Path) -> Database:
    """A database that all revisions made, one after the other."""
    database = Database(f"sqlite:///{folder}/upgraded.db")
    with database.write() as connection:
        database.upgrade(connection)
    return database


def made(folder: Path) -> Database:
    """A database that was empty."""
    database = Database(f"sqlite:///{folder}/catalogue.db")
    database.migrate()
    return database


def described(database: Database) -> dict[str, list[str]]:
    """Of each table and index its columns and constraints in alphabetical order."""
    with database.read() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    return {name: sorted(re.split(r",(?![^()]*\))", "".join(sql.partition("(")[2].split())[:-1])) for name, sql in rows}


def test_the_newest_revision_is_what_the_tables_declare(tmp_path: Path) -> None:
    new, old = made(tmp_path), upgraded(tmp_path)
    assert described(new) == described(old)
    for database in (new, old):
        with database.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_empty_database_is_at_the_newest_revision(tmp_path: Path) -> None:
    revisions = []
    for database in (made(tmp_path), upgraded(tmp_path)):
        with database.read() as connection:
            revisions.append(connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all())
    assert revisions[0] == revisions[1]
    assert len(revisions[0]) == 1


def test_a_second_migration_finds_nothing_to_do(tmp_path: Path) -> None:
    for database in (made(tmp_path), upgraded(tmp_path)):
        before = database.version()
        database.migrate()
        assert database.version() == before


def test_an_older_database_is_upgraded(tmp_path: Path) -> None:
    database = upgraded(tmp_path)
    newest = described(database)
    with database.write() as connection:
        connection.execute(text("DROP TABLE iam_policies"))
        for column in ("attached", "inline"):
            connection.execute(text(f"ALTER TABLE iam_roles DROP COLUMN {column}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))
    database.migrate()
    assert described(database) == newest
