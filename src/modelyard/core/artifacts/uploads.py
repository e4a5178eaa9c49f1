"""Uploads in parts: begun, filled, completed or given up.

Follows https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html. Owns which parts may make an object;
completing only names the parts' blobs in order and moves no bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modelyard.base.clock import Clock
from modelyard.base.errors import Invalid, NotFound
from modelyard.base.ids import Ids
from modelyard.core.artifacts.model import (
    ALWAYS,
    PLAIN,
    Bucket,
    Checksums,
    ChecksumType,
    Condition,
    Content,
    InvalidPart,
    Part,
    PartInfo,
    PartTooSmall,
    Properties,
    StoredObject,
    Upload,
    check_key,
)
from modelyard.core.artifacts.pins import Pins
from modelyard.core.artifacts.ports import BlobStore, Catalogue, Copied
from modelyard.core.artifacts.reading import ObjectReader
from modelyard.core.artifacts.writing import PartWriter, WriteLimits

PART_MINIMUM = 5 << 20
PART_NUMBERS = range(1, 10_001)
_ALL_PARTS = len(PART_NUMBERS)


class Buckets(Protocol):
    """What uploads ask of the artifact service."""

    def head_bucket(self, name: str) -> Bucket: ...

    def check_writable(self, bucket: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """A part that the client names in completing: its number, ETag, and checksums if stated."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


class Uploads:
    """Thread-safe. Every call that takes an upload raises NotFound when it is unknown, ended or of another key."""

    def __init__(
        self,
        buckets: Buckets,
        catalogue: Catalogue,
        blobs: BlobStore,
        pins: Pins,
        clock: Clock,
        ids: Ids,
        limits: WriteLimits,
    ) -> None:
        self._buckets = buckets
        self._catalogue = catalogue
        self._blobs = blobs
        self._pins = pins
        self._clock = clock
        self._ids = ids
        self._limits = WriteLimits(limits.size, inline=-1)

    def create(
        self,
        bucket: str,
        key: str,
        properties: Properties = PLAIN,
        algorithm: str | None = None,
        checksum_type: ChecksumType | None = None,
    ) -> Upload:
        """Begin an upload. Raises NotFound, BadKey, ReadOnlyBucket."""
        check_key(key)
        self._buckets.check_writable(bucket)
        self._buckets.head_bucket(bucket)
        now = self._clock.now()
        upload = Upload(self._ids.new_id(), bucket, key, now, properties, algorithm, checksum_type)
        self._catalogue.add_upload(upload)
        return upload

    def get(self, upload_id: str, bucket: str, key: str) -> Upload:
        found = self._catalogue.upload(upload_id)
        if found is None or (found.bucket, found.key) != (bucket, key):
            self._buckets.head_bucket(bucket)
            raise NotFound(kind="upload", name=upload_id)
        return found

    def list(self, bucket: str, prefix: str, after: tuple[str, str], limit: int) -> tuple[Upload, ...]:
        """Unfinished uploads in order of key and id, after that pair."""
        self._buckets.head_bucket(bucket)
        return self._catalogue.uploads(bucket, prefix.encode(), (after[0].encode(), after[1]), limit)

    def put_part(self, upload: Upload, number: int, size: int | None = None) -> PartWriter:
        """A writer for the part. Raises Invalid for the number, TooLarge, OutOfSpace."""
        _check_number(number)

        def finish(writer: PartWriter, content: Content, checksums: Checksums) -> Part:
            segments = () if isinstance(content, bytes) else content
            part = Part(number, writer.size, writer.etag, self._clock.now(), checksums.values)
            self._pins.discard(self._catalogue.put_part(upload.id, part, segments, None))
            return part

        name = f"s3://{upload.bucket}/{upload.key}"
        writer = PartWriter(name, self._ids.new_id(), self._blobs, self._pins, self._limits, size)
        writer.finish = finish
        return writer

    def copy_part(
        self, upload: Upload, number: int, source: ObjectReader, etag: str, checksums: Mapping[str, str]
    ) -> Part | None:
        """The selected range of ``source``, whose MD5 and checksums are given, as a part; no byte is moved.

        None when the source's bytes lie in the catalogue's row: then write them through ``put_part``. Raises NotFound
        when the source has changed since it was opened.
        """
        _check_number(number)
        segments = source.segments()
        if segments is None:
            return None
        part = Part(number, source.size, etag, self._clock.now(), checksums)
        origin = Copied(source.object.bucket, source.object.key, source.object.generation)
        self._pins.discard(self._catalogue.put_part(upload.id, part, segments, origin))
        return part

    def parts(self, upload: Upload, after: int = 0, limit: int = _ALL_PARTS) -> tuple[Part, ...]:
        """The parts that have arrived, by number, after that number."""
        return self._catalogue.parts(upload.id, after, limit)

    def choose(self, upload: Upload, chosen: Sequence[Chosen]) -> tuple[Part, ...]:
        """The parts that were named, in order. Raises InvalidPart, PartTooSmall."""
        arrived = {part.number: part for part in self.parts(upload)}
        parts = []
        for choice in chosen:
            part = arrived.get(choice.number)
            if part is None or part.etag != choice.etag or not _agree(choice.checksums, part.checksums):
                raise InvalidPart(number=choice.number, upload=upload.id)
            parts.append(part)
        for part in parts[:-1]:
            if part.size < PART_MINIMUM:
                raise PartTooSmall(number=part.number, upload=upload.id, size=part.size, minimum=PART_MINIMUM)
        return tuple(parts)

    def complete(
        self, upload: Upload, parts: Sequence[Part], checksums: Checksums, condition: Condition = ALWAYS
    ) -> StoredObject:
        """The object that these parts make, on disk and visible; the other parts go.

        Raises PreconditionFailed, and InvalidPart when a part was replaced since it was chosen.
        """
        digests = b"".join(bytes.fromhex(part.etag) for part in parts)
        made = StoredObject(
            upload.bucket,
            upload.key,
            upload.id,
            sum(part.size for part in parts),
            f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}",
            self._clock.now(),
            upload.properties,
            checksums,
            tuple(PartInfo(part.number, part.size, part.checksums) for part in parts),
        )
        etags = {part.number: part.etag for part in parts}
        self._pins.discard(self._catalogue.complete(upload.id, made, etags, condition))
        return made

    def completed(self, upload_id: str, bucket: str, key: str) -> StoredObject | None:
        """The object that this upload became, so that a client that lost the answer may ask again."""
        found = self._catalogue.get(bucket, key)
        return found[0] if found is not None and found[0].generation == upload_id else None

    def abort(self, upload: Upload) -> None:
        """Give the upload up; its parts go."""
        self._pins.discard(self._catalogue.remove_upload(upload.id))


def _check_number(number: int) -> None:
    if number not in PART_NUMBERS:
        raise Invalid(what=f"a part's number is from 1 to {_ALL_PARTS}, not {number}")


def _agree(stated: Mapping[str, str], known: Mapping[str, str]) -> bool:
    return all(known.get(name, value) == value for name, value in stated.items())
