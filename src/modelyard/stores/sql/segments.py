"""Which blobs make up which object or part: the rows of ``segments``, written inside the caller's transaction.

Owns no transaction and no blob. Refuses to know whether an owner is an object or a part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, literal, select

from modelyard.core.artifacts.model import Segment
from modelyard.stores.sql.tables.artifacts import segments

T = TypeVar("T")

_CHUNK = 500
_OF_OWNER = (
    select(segments.c.blob, segments.c.start, segments.c.size)
    .where(segments.c.owner == bindparam("of"))
    .order_by(segments.c.position)
)


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """The items by the hundreds, as many as every database takes as parameters of one statement."""
    held: list[T] = []
    for item in items:
        held.append(item)
        if len(held) == _CHUNK:
            yield held
            held = []
    if held:
        yield held


def read_segments(connection: Connection, owner: str) -> tuple[Segment, ...]:
    """The segments of an object's generation or of a part, in order."""
    return tuple(Segment(*row) for row in connection.execute(_OF_OWNER, {"of": owner}))


def write_segments(connection: Connection, owner: str, content: Sequence[Segment]) -> None:
    """Give the owner these segments; it has none yet."""
    rows = [
        {"owner": owner, "position": position, "blob": part.blob, "start": part.start, "size": part.size}
        for position, part in enumerate(content)
    ]
    if rows:
        connection.execute(insert(segments), rows)


def share_segments(connection: Connection, source: str, owner: str) -> None:
    """Give the owner the same bytes as ``source`` has."""
    same = select(literal(owner), segments.c.position, segments.c.blob, segments.c.start, segments.c.size)
    names = ["owner", "position", "blob", "start", "size"]
    connection.execute(insert(segments).from_select(names, same.where(segments.c.owner == source)))


def remove_segments(connection: Connection, owners: Collection[str]) -> frozenset[str]:
    """Take the owners' segments away; the blobs that no row names any longer."""
    touched: set[str] = set()
    for some in chunks(owners):
        mine = segments.c.owner.in_(some)
        touched.update(connection.scalars(select(segments.c.blob).where(mine)))
        connection.execute(delete(segments).where(mine))
    return frozenset(touched) - referenced(connection, touched)


def referenced(connection: Connection, blobs: Collection[str]) -> frozenset[str]:
    """Those of the blobs that some row names."""
    found: set[str] = set()
    for some in chunks(blobs):
        found.update(connection.scalars(select(segments.c.blob).where(segments.c.blob.in_(some)).distinct()))
    return frozenset(found)
