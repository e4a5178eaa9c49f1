"""One page of any noun's table: the filters, order and cursor of ``base.paging.Listing`` as SQL.

Owns keyset paging by (sort value, id). A listed table has the columns id, name, created and modified, and,
where it can be filtered or sorted by it, state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, and_, func, or_, select

from modelyard.base.paging import Between, Cursor, Listing, Page

T = TypeVar("T")


def page(
    connection: Connection,
    table: Table,
    listing: Listing,
    read: Callable[[RowMapping], T],
    more: Iterable[ColumnElement[bool]] = (),
    orders: Mapping[str, ColumnElement[Any]] | None = None,
) -> Page[T]:
    """The rows that ``listing`` and the conditions ``more`` select, each turned into a value by ``read``.

    ``name_contains`` minds letter case. ``orders`` says what to sort by instead of the column of that name.
    """
    special = (orders or {}).get(listing.sort_by)
    column = table.c[listing.sort_by] if special is None else special
    shown_as = listing.sort_by if special is None else "sort_value"
    conditions = [*_conditions(table, listing), *more]
    if listing.after is not None:
        conditions.append(_beyond(column, table.c.id, listing.after, listing.order == "descending"))
    order = (column.desc(), table.c.id.desc()) if listing.order == "descending" else (column, table.c.id)
    query = (
        select(table, *([] if special is None else [special.label(shown_as)]))
        .where(*conditions)
        .order_by(*order)
        .limit(listing.limit + 1)
    )
    rows = connection.execute(query).mappings().all()
    shown = rows[: listing.limit]
    last = shown[-1] if len(rows) > listing.limit else None
    return Page(
        items=tuple(read(row) for row in shown),
        next=Cursor(last[shown_as], last["id"]) if last is not None else None,
    )


def _conditions(table: Table, listing: Listing) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if listing.name_contains:
        # LIKE minds letter case in PostgreSQL only; that a removal changes the name says the same everywhere.
        conditions.append(func.replace(table.c.name, listing.name_contains, "") != table.c.name)
    if listing.states is not None:
        conditions.append(table.c.state.in_(sorted(listing.states)))
    conditions += _between(table.c.created, listing.created)
    conditions += _between(table.c.modified, listing.modified)
    return conditions


def _between(column: ColumnElement[float], span: Between) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if span.after is not None:
        conditions.append(column > span.after)
    if span.before is not None:
        conditions.append(column < span.before)
    return conditions


def _beyond(column: ColumnElement[Any], key: ColumnElement[str], cursor: Cursor, falling: bool) -> ColumnElement[bool]:
    if falling:
        return or_(column < cursor.value, and_(column == cursor.value, key < cursor.id))
    return or_(column > cursor.value, and_(column == cursor.value, key > cursor.id))
