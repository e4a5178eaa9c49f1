"""Notebook instances and lifecycle configurations in SQL: the ports of ``core.notebooks.ports``.

Owns rows and their tags. Refuses to know which move is allowed: it writes only over the state that was seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, String, Table, case, cast, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from modelyard.base.errors import AlreadyExists
from modelyard.base.paging import Listing, Page
from modelyard.core.notebooks.model import LifecycleConfig, Notebook, NotebookQuery, NotebookState
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.listing import page
from modelyard.stores.sql.tables.notebooks import lifecycle_configs, notebooks
from modelyard.stores.sql.tags import remove_tags, write_tags


class SqlNotebookTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, notebook: Notebook, tags: Mapping[str, str]) -> None:
        _add(self._database, notebooks, "notebook", _notebook_row(notebook), tags)

    def get(self, id_or_name: str) -> Notebook | None:
        row = _get(self._database, notebooks, id_or_name)
        return _notebook(row) if row is not None else None

    def list(self, query: NotebookQuery) -> Page[Notebook]:
        with self._database.read() as connection:
            return page(connection, notebooks, query.listing, _notebook, _filters(query))

    def replace(self, notebook: Notebook, seen: NotebookState) -> bool:
        mine = (notebooks.c.id == notebook.id, notebooks.c.state == str(seen))
        with self._database.write() as connection:
            return bool(connection.execute(update(notebooks).where(*mine).values(_notebook_row(notebook))).rowcount)

    def remove(self, notebook_id: str, seen: NotebookState) -> bool:
        return _remove(self._database, notebooks, notebook_id, notebooks.c.state == str(seen))


class SqlLifecycleConfigTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, config: LifecycleConfig, tags: Mapping[str, str]) -> None:
        _add(self._database, lifecycle_configs, "lifecycle configuration", _config_row(config), tags)

    def get(self, id_or_name: str) -> LifecycleConfig | None:
        row = _get(self._database, lifecycle_configs, id_or_name)
        return LifecycleConfig(**row) if row is not None else None

    def list(self, listing: Listing) -> Page[LifecycleConfig]:
        with self._database.read() as connection:
            return page(connection, lifecycle_configs, listing, lambda row: LifecycleConfig(**row))

    def replace(self, config: LifecycleConfig) -> bool:
        change = update(lifecycle_configs).where(lifecycle_configs.c.id == config.id).values(_config_row(config))
        with self._database.write() as connection:
            return bool(connection.execute(change).rowcount)

    def remove(self, config_id: str) -> bool:
        return _remove(self._database, lifecycle_configs, config_id)


def _add(database: Database, table: Table, kind: str, row: dict[str, Any], tags: Mapping[str, str]) -> None:
    try:
        with database.write() as connection:
            connection.execute(insert(table).values(row))
            write_tags(connection, row["id"], tags)
    except IntegrityError as error:
        raise AlreadyExists(kind=kind, name=row["name"]) from error


def _get(database: Database, table: Table, id_or_name: str) -> RowMapping | None:
    either = or_(table.c.id == id_or_name, table.c.name == id_or_name)
    id_first = case((table.c.id == id_or_name, 0), else_=1)
    with database.read() as connection:
        return connection.execute(select(table).where(either).order_by(id_first)).mappings().first()


def _remove(database: Database, table: Table, object_id: str, *more: ColumnElement[bool]) -> bool:
    with database.write() as connection:
        gone = connection.execute(delete(table).where(table.c.id == object_id, *more)).rowcount
        if gone:
            remove_tags(connection, object_id)
        return bool(gone)


def _filters(query: NotebookQuery) -> Iterator[ColumnElement[bool]]:
    wanted = (
        (notebooks.c.lifecycle_config, query.lifecycle_contains),
        (notebooks.c.repository, query.repository_contains),
    )
    for column, part in wanted:
        if part:
            yield func.replace(column, part, "") != column
    if query.more_repositories_include:
        text = cast(notebooks.c.more_repositories, String)
        quoted = json.dumps(query.more_repositories_include)
        yield func.replace(text, quoted, "") != text


def _notebook_row(notebook: Notebook) -> dict[str, Any]:
    row = {column.name: getattr(notebook, column.name) for column in notebooks.columns}
    return row | {
        "state": str(notebook.state),
        "document": dict(notebook.document),
        "more_repositories": list(notebook.more_repositories),
    }


def _config_row(config: LifecycleConfig) -> dict[str, Any]:
    row = {column.name: getattr(config, column.name) for column in lifecycle_configs.columns}
    return row | {"document": dict(config.document)}


def _notebook(row: RowMapping) -> Notebook:
    values = dict(row)
    values["state"] = NotebookState(values["state"])
    values["more_repositories"] = tuple(values["more_repositories"])
    return Notebook(**values)
