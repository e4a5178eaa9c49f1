"""Buckets, objects and uploads in SQL: the port ``core.artifacts.ports.Catalogue``.

Owns rows and transactions; which blobs belong to what is in ``segments``, uploads in parts in ``uploads``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelyard.base.errors import AlreadyExists, NotFound
from modelyard.core.artifacts.model import (
    Bucket,
    BucketNotEmpty,
    Checksums,
    Condition,
    Content,
    PartInfo,
    PreconditionFailed,
    Properties,
    StoredObject,
)
from modelyard.core.artifacts.ports import Copied, Freed
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.remembered import Remembered
from modelyard.stores.sql.segments import (
    chunks,
    read_segments,
    referenced,
    remove_segments,
    share_segments,
    write_segments,
)
from modelyard.stores.sql.tables.artifacts import buckets, objects, uploads
from modelyard.stores.sql.together import Together
from modelyard.stores.sql.uploads import SqlUploads, dump, load, prefix_range, remove_uploads

_FEW = 16
"""Parts and pieces of an object that is remembered: one of 10,000 takes megabytes."""
_NOTHING: Freed = frozenset()
_TRIES = 3

_SHORT = (
    objects.c.bucket,
    objects.c.key,
    objects.c.generation,
    objects.c.size,
    objects.c.etag,
    objects.c.modified,
    objects.c.checksum_type,
    objects.c.checksums,
)
_FULL = (*_SHORT, objects.c.headers, objects.c.metadata, objects.c.tags, objects.c.parts, objects.c.data)
_BUCKET = select(buckets).where(buckets.c.name == bindparam("b"))
_GET = select(*_FULL).where(objects.c.bucket == bindparam("b"), objects.c.key == bindparam("k"))
_EXISTING = (
    select(buckets.c.name, objects.c.generation, objects.c.etag, objects.c.data.is_not(None))
    .select_from(buckets.outerjoin(objects, and_(objects.c.bucket == buckets.c.name, objects.c.key == bindparam("k"))))
    .where(buckets.c.name == bindparam("b"))
)
_DELETE = delete(objects).where(objects.c.bucket == bindparam("b"), objects.c.key == bindparam("k"))


_INSERT = insert(objects)
_UPDATE = (
    update(objects)
    .where(objects.c.bucket == bindparam("b"), objects.c.key == bindparam("k"))
    .values({column.name: bindparam(column.name) for column in objects.columns if not column.primary_key})
)


class SqlCatalogue(SqlUploads):
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, _replace)
        self._together = Together(database)
        # A row holds at most 16 KiB of an object's bytes (WriteLimits.inline): 4 MiB in all.
        self._remembered = Remembered(database, limit=256)

    def add_bucket(self, bucket: Bucket) -> None:
        row = {"name": bucket.name, "region": bucket.region, "created": bucket.created, "tags": dump(bucket.tags)}
        try:
            with self._database.write() as connection:
                connection.execute(insert(buckets).values(row))
        except IntegrityError as error:
            raise AlreadyExists(kind="bucket", name=bucket.name) from error

    def bucket(self, name: str) -> Bucket | None:
        with self._database.read() as connection:
            row = connection.execute(_BUCKET, {"b": name}).first()
            return _bucket(row) if row is not None else None

    def buckets(self) -> tuple[Bucket, ...]:
        with self._database.read() as connection:
            return tuple(_bucket(row) for row in connection.execute(select(buckets).order_by(buckets.c.name)))

    def tag_bucket(self, name: str, tags: Mapping[str, str]) -> None:
        with self._database.write() as connection:
            if not connection.execute(update(buckets).where(buckets.c.name == name).values(tags=dump(tags))).rowcount:
                raise NotFound(kind="bucket", name=name)

    def remove_bucket(self, name: str) -> Freed:
        with self._database.write() as connection:
            _check_bucket(connection, name)
            if connection.execute(select(objects.c.key).where(objects.c.bucket == name).limit(1)).first():
                raise BucketNotEmpty(name=name)
            freed = remove_uploads(connection, uploads.c.bucket == name)
            connection.execute(delete(buckets).where(buckets.c.name == name))
            return freed

    def get(self, bucket: str, key: str) -> tuple[StoredObject, Content] | None:
        return self._remembered.get((bucket, key), lambda: self._read(bucket, key), _is_small)

    def _read(self, bucket: str, key: str) -> tuple[StoredObject, Content] | None:
        with self._database.read() as connection:
            row = connection.execute(_GET, {"b": bucket, "k": key.encode()}).first()
            if row is None:
                return None
            data = row.data
            return _object(row), data if data is not None else read_segments(connection, row.generation)

    def put(self, made: StoredObject, content: Content, condition: Condition) -> Freed:
        if isinstance(content, bytes):
            return self._write(lambda connection: _replace(connection, made, content, condition))

        def write(connection: Connection) -> Freed:
            write_segments(connection, made.generation, content)
            return _replace(connection, made, None, condition)

        return self._write(write)

    def copy(self, source: Copied, made: StoredObject, condition: Condition) -> Freed:
        def write(connection: Connection) -> Freed:
            row = connection.execute(_GET, {"b": source.bucket, "k": source.key.encode()}).first()
            if row is None or row.generation != source.generation:
                raise NotFound(kind="object", name=f"s3://{source.bucket}/{source.key}")
            if row.data is None:
                share_segments(connection, source.generation, made.generation)
            return _replace(connection, made, row.data, condition)

        return self._write(write)

    def tag(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        chosen = and_(objects.c.bucket == bucket, objects.c.key == key.encode())
        with self._database.write() as connection:
            if not connection.execute(update(objects).where(chosen).values(tags=dump(tags))).rowcount:
                raise NotFound(kind="object", name=f"s3://{bucket}/{key}")

    def remove(self, bucket: str, key: str, condition: Condition) -> Freed:
        def change(connection: Connection) -> Freed:
            existing = _existing(connection, bucket, key, condition)
            if existing is None:
                return _NOTHING
            connection.execute(_DELETE, {"b": bucket, "k": key.encode()})
            return _NOTHING if existing.inline else remove_segments(connection, (existing.generation,))

        return self._together.run(change)

    def remove_many(self, bucket: str, keys: Sequence[str]) -> Freed:
        generations: list[str] = []
        with self._database.write() as connection:
            _check_bucket(connection, bucket)
            for some in chunks(key.encode() for key in keys):
                chosen = and_(objects.c.bucket == bucket, objects.c.key.in_(some))
                generations.extend(
                    connection.scalars(select(objects.c.generation).where(chosen, objects.c.data.is_(None)))
                )
                connection.execute(delete(objects).where(chosen))
            return remove_segments(connection, generations)

    def list(self, bucket: str, prefix: bytes, after: bytes, limit: int) -> tuple[StoredObject, ...]:
        chosen: list[ColumnElement[bool]] = [objects.c.bucket == bucket, *prefix_range(objects.c.key, prefix)]
        if after >= prefix:
            chosen.append(objects.c.key > after)
        query = select(*_SHORT).where(*chosen).order_by(objects.c.key).limit(limit)
        with self._database.read() as connection:
            return tuple(_listed(row) for row in connection.execute(query))

    def referenced(self, blobs: Collection[str]) -> frozenset[str]:
        with self._database.read() as connection:
            return referenced(connection, blobs)

    def _write(self, change: Callable[[Connection], Freed]) -> Freed:
        """The change in one transaction; again when another writer made the same key meanwhile."""
        for _ in range(_TRIES - 1):
            try:
                return self._together.run(change)
            except IntegrityError:
                continue
        return self._together.run(change)


class _Existing:
    """What lies at a key before it is written."""

    __slots__ = ("etag", "generation", "inline")

    def __init__(self, generation: str, etag: str, inline: bool) -> None:
        self.generation = generation
        self.etag = etag
        self.inline = inline


def _existing(connection: Connection, bucket: str, key: str, condition: Condition) -> _Existing | None:
    """Raises NotFound for the bucket, PreconditionFailed."""
    row = connection.execute(_EXISTING, {"b": bucket, "k": key.encode()}).first()
    if row is None:
        raise NotFound(kind="bucket", name=bucket)
    _, generation, etag, inline = row
    if not condition.holds(etag):
        stated = "If-None-Match" if condition.absent and etag is not None else "If-Match"
        raise PreconditionFailed(condition=stated, name=f"s3://{bucket}/{key}", exists=etag is not None)
    return _Existing(generation, etag, bool(inline)) if generation is not None else None


def _replace(connection: Connection, made: StoredObject, data: bytes | None, condition: Condition) -> Freed:
    """Put the object's row in place of what lies at its key; its segments are written already."""
    existing = _existing(connection, made.bucket, made.key, condition)
    if existing is None:
        connection.execute(_INSERT, _row(made, data))
        return _NOTHING
    row = _row(made, data)
    connection.execute(_UPDATE, {"b": row.pop("bucket"), "k": row.pop("key")} | row)
    return _NOTHING if existing.inline else remove_segments(connection, (existing.generation,))


def _check_bucket(connection: Connection, name: str) -> None:
    if connection.execute(_BUCKET, {"b": name}).first() is None:
        raise NotFound(kind="bucket", name=name)


def _row(made: StoredObject, data: bytes | None) -> dict[str, Any]:
    checksums = made.checksums
    return {
        "bucket": made.bucket,
        "key": made.key.encode(),
        "generation": made.generation,
        "size": made.size,
        "etag": made.etag,
        "modified": made.modified,
        "headers": dump(made.properties.headers),
        "metadata": dump(made.properties.metadata),
        "tags": dump(made.properties.tags),
        "checksum_type": checksums.type,
        "checksums": dump(checksums.values),
        "parts": orjson.dumps([(part.number, part.size, dict(part.checksums)) for part in made.parts]).decode()
        if made.parts
        else None,
        "data": data,
    }


def _listed(row: Any) -> StoredObject:
    bucket, key, generation, size, etag, modified, checksum_type, checksums = row
    return StoredObject(
        bucket,
        key.decode(),
        generation,
        size,
        etag,
        modified,
        checksums=Checksums(checksum_type, load(checksums)),
    )


def _is_small(found: tuple[StoredObject, Content] | None) -> bool:
    if found is None:
        return True
    made, content = found
    return len(made.parts) <= _FEW and (isinstance(content, bytes) or len(content) <= _FEW)


def _object(row: Any) -> StoredObject:
    parts = orjson.loads(row.parts) if row.parts is not None else ()
    return StoredObject(
        row.bucket,
        row.key.decode(),
        row.generation,
        row.size,
        row.etag,
        row.modified,
        Properties(load(row.headers), load(row.metadata), load(row.tags)),
        Checksums(row.checksum_type, load(row.checksums)),
        tuple(PartInfo(*part) for part in parts),
    )


def _bucket(row: Any) -> Bucket:
    return Bucket(row.name, row.region, row.created, load(row.tags))
