"""One database: connections, transactions, migrations.

Owns how a transaction begins and when it is on disk. SQLite is opened with WAL and synchronous=FULL: a
committed transaction survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous). Writers
begin IMMEDIATE and take turns inside this process, so that none fails with "database is locked" after
reading what it is about to change.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from modelyard.stores.sql import commits, tables
from modelyard.stores.sql.commits import Commits
from modelyard.stores.sql.tables.metadata import metadata

_MIGRATIONS = Path(__file__).with_name("migrations")


class Database:
    """Thread-safe. ``url`` is SQLAlchemy's, e.g. ``sqlite:////var/lib/modelyard/catalogue.db``."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._turn = threading.Lock() if self.engine.dialect.name == "sqlite" else None
        self._file = self.engine.url.database or "" if self._turn is not None else ""
        """The database's file, where it is one."""
        self._commits: Commits | None = None
        self._watching = threading.Lock()
        self._is_open = True
        self._is_watchable = self._turn is not None
        commits.enter(self._file)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads, on one snapshot."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction; on disk when the block ends, undone when it raises. Keep it free of other I/O."""
        if self._turn is None:
            with self.engine.begin() as connection:
                yield connection
            return
        with self._turn, self.engine.connect() as connection:
            connection.execute(text("BEGIN IMMEDIATE"))
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def version(self) -> bytes | None:
        """Bytes that are others after every commit by anyone; None where the database does not tell.

        A fraction of a microsecond, without a lock.
        """
        watched = self._commits or self._watch()
        return watched.version() if watched is not None else None

    def _watch(self) -> Commits | None:
        with self._watching:
            if self._commits is None and self._is_open and self._is_watchable:
                try:
                    self._commits = Commits(self._file, self.engine.raw_connection())
                except OSError:
                    self._is_watchable = False
            return self._commits

    def migrate(self) -> None:
        """Bring the tables to the newest revision; safe to run at every start.

        An empty database gets what the tables declare, which a test holds to be what all revisions make
        (https://alembic.sqlalchemy.org/en/latest/cookbook.html, Building an Up to Date Database from Scratch).
        Alembic is imported only for an older one: it costs a start 0.2 s and 10 MB.
        """
        newest = max(path.stem for path in (_MIGRATIONS / "versions").glob("*.py"))[:4]
        if self._revision() == newest:
            return
        with self.write() as connection:
            if inspect(connection).get_table_names():
                self.upgrade(connection)
            else:
                _create_all(connection, newest)

    def upgrade(self, connection: Connection) -> None:
        """Run the revisions that the database lacks."""
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    def _revision(self) -> str | None:
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

    def close(self) -> None:
        with self._watching:
            was_open, self._is_open = self._is_open, False
            watched, self._commits = self._commits, None
            if watched is not None:
                watched.close_connection()
            self.engine.dispose()
            if was_open:
                commits.leave(self._file, watched)


def _create_all(connection: Connection, revision: str) -> None:
    """Every declared table, and Alembic's own with the revision that they are."""
    for module in pkgutil.iter_modules(tables.__path__, f"{tables.__name__}."):
        importlib.import_module(module.name)
    metadata.create_all(connection)
    primary_key = "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
    connection.execute(text(f"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, {primary_key})"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    # As many as there are threads at most: one beyond the pool's size would be opened anew for each use, in 1 ms.
    engine = create_engine(url, pool_size=32, connect_args={"check_same_thread": False, "timeout": 30})

    @event.listens_for(engine, "connect")
    def _open(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
