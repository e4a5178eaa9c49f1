"""Uploads in parts in SQL: the half of the catalogue that ``artifacts`` builds on.

Owns uploads and their parts until the object takes them over. Refuses to know how an object's row is replaced:
that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select

from modelyard.base.errors import NotFound
from modelyard.core.artifacts.model import (
    Condition,
    InvalidPart,
    Part,
    Properties,
    Segment,
    StoredObject,
    Upload,
)
from modelyard.core.artifacts.ports import Copied, Freed
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.segments import read_segments, remove_segments, write_segments
from modelyard.stores.sql.tables.artifacts import objects, parts, uploads

Replace = Callable[[Connection, StoredObject, bytes | None, Condition], Freed]


class SqlUploads:
    """``replace`` puts an object's row in place inside a transaction."""

    def __init__(self, database: Database, replace: Replace) -> None:
        self._database = database
        self._replace = replace

    def add_upload(self, upload: Upload) -> None:
        with self._database.write() as connection:
            connection.execute(insert(uploads), _row(upload))

    def upload(self, upload: str) -> Upload | None:
        with self._database.read() as connection:
            row = connection.execute(select(uploads).where(uploads.c.id == upload)).first()
            return _upload(row) if row is not None else None

    def uploads(self, bucket: str, prefix: bytes, after: tuple[bytes, str], limit: int) -> tuple[Upload, ...]:
        key, upload = after
        later = or_(uploads.c.key > key, and_(uploads.c.key == key, uploads.c.id > upload))
        query = (
            select(uploads)
            .where(uploads.c.bucket == bucket, later, *prefix_range(uploads.c.key, prefix))
            .order_by(uploads.c.key, uploads.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(_upload(row) for row in connection.execute(query))

    def put_part(self, upload: str, part: Part, segments: tuple[Segment, ...], copied: Copied | None) -> Freed:
        owner = _owner(upload, part.number)
        with self._database.write() as connection:
            _check_upload(connection, upload)
            if copied is not None:
                _check_source(connection, copied)
            freed = remove_segments(connection, (owner,))
            write_segments(connection, owner, segments)
            connection.execute(delete(parts).where(parts.c.upload == upload, parts.c.number == part.number))
            row = {
                "upload": upload,
                "number": part.number,
                "size": part.size,
                "etag": part.etag,
                "modified": part.modified,
                "checksums": dump(part.checksums),
            }
            connection.execute(insert(parts), row)
            return freed - {segment.blob for segment in segments}

    def parts(self, upload: str, after: int, limit: int) -> tuple[Part, ...]:
        query = (
            select(parts).where(parts.c.upload == upload, parts.c.number > after).order_by(parts.c.number).limit(limit)
        )
        with self._database.read() as connection:
            return tuple(
                Part(row.number, row.size, row.etag, row.modified, load(row.checksums))
                for row in connection.execute(query)
            )

    def complete(self, upload: str, made: StoredObject, etags: Mapping[int, str], condition: Condition) -> Freed:
        with self._database.write() as connection:
            _check_upload(connection, upload)
            query = select(parts.c.number, parts.c.etag).where(parts.c.upload == upload)
            arrived: dict[int, str] = {row.number: row.etag for row in connection.execute(query)}
            content: list[Segment] = []
            for number in sorted(etags):
                if arrived.get(number) != etags[number]:
                    raise InvalidPart(number=number, upload=upload)
                content.extend(read_segments(connection, _owner(upload, number)))
            write_segments(connection, made.generation, content)
            freed = self._replace(connection, made, None, condition)
            return freed | remove_uploads(connection, uploads.c.id == upload)

    def remove_upload(self, upload: str) -> Freed:
        with self._database.write() as connection:
            _check_upload(connection, upload)
            return remove_uploads(connection, uploads.c.id == upload)


def remove_uploads(connection: Connection, which: ColumnElement[bool]) -> Freed:
    """Take uploads and their parts away; the blobs that no row names any longer."""
    ids = select(uploads.c.id).where(which)
    rows = connection.execute(select(parts.c.upload, parts.c.number).where(parts.c.upload.in_(ids))).all()
    freed = remove_segments(connection, [_owner(row.upload, row.number) for row in rows])
    connection.execute(delete(parts).where(parts.c.upload.in_(ids)))
    connection.execute(delete(uploads).where(which))
    return freed


def prefix_range(column: ColumnElement[bytes], prefix: bytes) -> tuple[ColumnElement[bool], ...]:
    """Conditions for keys that begin with the prefix. UTF-8 has no byte 0xff, so a byte can be counted up."""
    if not prefix:
        return ()
    return column >= prefix, column < prefix[:-1] + bytes([prefix[-1] + 1])


def dump(values: Mapping[str, str]) -> str | None:
    """A mapping as a column holds it: nothing for an empty one."""
    return orjson.dumps(dict(values)).decode() if values else None


def load(text: str | None) -> dict[str, str]:
    """What ``dump`` wrote."""
    return dict(orjson.loads(text)) if text is not None else {}


def _owner(upload: str, number: int) -> str:
    return f"{upload}/{number:05d}"


def _check_upload(connection: Connection, upload: str) -> None:
    if connection.execute(select(uploads.c.id).where(uploads.c.id == upload)).first() is None:
        raise NotFound(kind="upload", name=upload)


def _check_source(connection: Connection, copied: Copied) -> None:
    query = select(objects.c.generation).where(objects.c.bucket == copied.bucket, objects.c.key == copied.key.encode())
    if connection.scalar(query) != copied.generation:
        raise NotFound(kind="object", name=f"s3://{copied.bucket}/{copied.key}")


def _row(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "bucket": upload.bucket,
        "key": upload.key.encode(),
        "created": upload.created,
        "headers": dump(upload.properties.headers),
        "metadata": dump(upload.properties.metadata),
        "tags": dump(upload.properties.tags),
        "algorithm": upload.algorithm,
        "checksum_type": upload.checksum_type,
    }


def _upload(row: Any) -> Upload:
    return Upload(
        row.id,
        row.bucket,
        row.key.decode(),
        row.created,
        Properties(load(row.headers), load(row.metadata), load(row.tags)),
        row.algorithm,
        row.checksum_type,
    )
