"""What may be done with artifacts: buckets, objects, copies, listings.

Owns the rules: which names are legal, which bucket is read-only, when a blob may go. Synchronous and thread-safe;
bytes stream through in bounded memory; a write that has returned is on disk. Refuses to know HTTP and SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelyard.base.clock import Clock
from modelyard.base.errors import AlreadyExists, NotFound, Unavailable
from modelyard.base.ids import Ids
from modelyard.core.artifacts.listing import list_page
from modelyard.core.artifacts.model import (
    ALWAYS,
    MODELS_BUCKET,
    PLAIN,
    BadBucketName,
    Bucket,
    Checksums,
    Condition,
    Content,
    ObjectPage,
    Properties,
    ReadOnlyBucket,
    StoredObject,
    check_key,
    is_bucket_name,
    region_made_on_demand,
)
from modelyard.core.artifacts.pins import Pins
from modelyard.core.artifacts.ports import BlobStore, Catalogue, Copied
from modelyard.core.artifacts.reading import ObjectReader
from modelyard.core.artifacts.uploads import Uploads
from modelyard.core.artifacts.writing import DEFAULT_LIMITS, ObjectWriter, WriteLimits

_SWEEP_BATCH = 500
_TRIES = 20


class ArtifactService:
    """Thread-safe. ``uploads`` is the part of it that deals with uploads in parts."""

    def __init__(
        self, catalogue: Catalogue, blobs: BlobStore, clock: Clock, ids: Ids, limits: WriteLimits = DEFAULT_LIMITS
    ) -> None:
        self._catalogue = catalogue
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._limits = limits
        self._pins = Pins(blobs.remove)
        self.uploads = Uploads(self, catalogue, blobs, self._pins, clock, ids, limits)

    # Buckets

    def create_bucket(self, name: str, region: str, tags: Mapping[str, str] | None = None) -> Bucket:
        """Raises BadBucketName, AlreadyExists."""
        if not is_bucket_name(name):
            raise BadBucketName(name=name)
        if name == MODELS_BUCKET:
            raise AlreadyExists(kind="bucket", name=name)
        return self._add_bucket(name, region, tags or {})

    def ensure_bucket(self, name: str, region: str) -> Bucket:
        """The bucket, made if there is none. Raises BadBucketName."""
        found = self._catalogue.bucket(name)
        if found is not None:
            return found
        if not is_bucket_name(name):
            raise BadBucketName(name=name)
        try:
            return self._add_bucket(name, region, {})
        except AlreadyExists:
            return self.head_bucket(name)

    def head_bucket(self, name: str) -> Bucket:
        """The bucket. Raises NotFound; the models' bucket and the SDKs' default buckets are made on demand."""
        found = self._catalogue.bucket(name)
        if found is not None:
            return found
        if name == MODELS_BUCKET:
            return self.ensure_bucket(name, "us-east-1")
        region = region_made_on_demand(name)
        if region is None:
            raise NotFound(kind="bucket", name=name)
        return self.ensure_bucket(name, region)

    def list_buckets(self) -> tuple[Bucket, ...]:
        """All buckets, by name."""
        return self._catalogue.buckets()

    def tag_bucket(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace the bucket's tags. Raises NotFound."""
        self.check_writable(name)
        self._catalogue.tag_bucket(name, tags)

    def delete_bucket(self, name: str) -> None:
        """Raises NotFound, BucketNotEmpty, ReadOnlyBucket. Unfinished uploads go with it."""
        self.check_writable(name)
        self._pins.discard(self._catalogue.remove_bucket(name))

    # Objects

    def head(self, bucket: str, key: str) -> StoredObject:
        """The object without its bytes. Raises NotFound for bucket or object."""
        return self._find(bucket, key)[0]

    def open(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """The object with its bytes, to be closed. Raises NotFound."""
        for _ in range(_TRIES):
            found, content = self._find(bucket, key)
            if isinstance(content, bytes):
                return ObjectReader(found, content, self._blobs, self._pins).select(start, length)
            self._pins.take(segment.blob for segment in content)
            reader = ObjectReader(found, content, self._blobs, self._pins).select(start, length)
            # Pinned blobs stay; but were they still there when they were pinned?
            if self._is_current(found):
                return reader
            reader.close()
        raise Unavailable(what=f"s3://{bucket}/{key} is replaced faster than it can be read; try again")

    def put(
        self,
        bucket: str,
        key: str,
        properties: Properties = PLAIN,
        size: int | None = None,
        owner: bool = False,
    ) -> ObjectWriter:
        """A writer for the object; nothing shows until it commits. ``size`` is the length in bytes if known.

        Raises NotFound, BadKey, TooLarge, OutOfSpace, and ReadOnlyBucket unless ``owner`` writes the models' files.
        """
        check_key(key)
        if not owner:
            self.check_writable(bucket)
        if size is None or size > self._limits.inline:
            # A large upload into nowhere is refused before it is sent; a small one when it is written.
            self.head_bucket(bucket)

        def finish(writer: ObjectWriter, content: Content, checksums: Checksums, condition: Condition) -> StoredObject:
            now, generation = self._clock.now(), self._ids.new_id()
            made = StoredObject(bucket, key, generation, writer.size, writer.etag, now, properties, checksums)
            try:
                freed = self._catalogue.put(made, content, condition)
            except NotFound:
                self.head_bucket(bucket)
                freed = self._catalogue.put(made, content, condition)
            self._pins.discard(freed)
            return made

        name = f"s3://{bucket}/{key}"
        writer = ObjectWriter(name, self._ids.new_id(), self._blobs, self._pins, self._limits, size)
        writer.finish = finish
        return writer

    def copy(
        self,
        source: StoredObject,
        bucket: str,
        key: str,
        properties: Properties | None = None,
        checksums: Checksums | None = None,
        condition: Condition = ALWAYS,
    ) -> StoredObject:
        """A new object with the bytes of ``source`` (no byte is moved); its properties too unless others are given.

        Raises NotFound when the source has changed since it was looked up, ReadOnlyBucket, PreconditionFailed.
        """
        check_key(key)
        self.check_writable(bucket)
        self.head_bucket(bucket)
        made = StoredObject(
            bucket,
            key,
            self._ids.new_id(),
            source.size,
            source.etag,
            self._clock.now(),
            properties or source.properties,
            checksums or source.checksums,
            source.parts,
        )
        origin = Copied(source.bucket, source.key, source.generation)
        self._pins.discard(self._catalogue.copy(origin, made, condition))
        return made

    def tag(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace the object's tags. Raises NotFound, ReadOnlyBucket."""
        self.check_writable(bucket)
        self.head_bucket(bucket)
        self._catalogue.tag(bucket, key, tags)

    def delete(self, bucket: str, key: str, condition: Condition = ALWAYS, owner: bool = False) -> None:
        """Delete the object; no error when there is none. Raises NotFound for the bucket, PreconditionFailed."""
        if not owner:
            self.check_writable(bucket)
        self._pins.discard(self._catalogue.remove(bucket, key, condition))

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete several objects in one transaction."""
        self.check_writable(bucket)
        self._pins.discard(self._catalogue.remove_many(bucket, keys))

    def list_objects(
        self, bucket: str, prefix: str = "", delimiter: str = "", after: bytes = b"", limit: int = 1000
    ) -> ObjectPage:
        """A page of objects in key order, after a key or a page's ``next``. Raises NotFound."""
        self.head_bucket(bucket)
        raw = prefix.encode()
        return list_page(
            lambda start, count: self._catalogue.list(bucket, raw, start, count), prefix, delimiter, after, limit
        )

    def check_writable(self, bucket: str) -> None:
        """Raises ReadOnlyBucket for the models' bucket."""
        if bucket == MODELS_BUCKET:
            raise ReadOnlyBucket(name=bucket)

    def sweep(self) -> int:
        """Remove blobs that nothing names and nobody uses (what crashes left); how many. Safe beside writes."""
        removed = 0
        batch: list[str] = []
        for blob in self._blobs.ids():
            # First whether it is in use, then whether a row names it: a write gives up its pin only after its row.
            if not self._pins.used(blob):
                batch.append(blob)
            if len(batch) == _SWEEP_BATCH:
                removed += self._remove_unreferenced(batch)
                batch = []
        return removed + self._remove_unreferenced(batch)

    def _remove_unreferenced(self, blobs: Sequence[str]) -> int:
        unreferenced = frozenset(blobs) - self._catalogue.referenced(blobs)
        self._pins.discard(unreferenced)
        return len(unreferenced)

    def _find(self, bucket: str, key: str) -> tuple[StoredObject, Content]:
        found = self._catalogue.get(bucket, key)
        if found is None:
            self.head_bucket(bucket)
            raise NotFound(kind="object", name=f"s3://{bucket}/{key}")
        return found

    def _is_current(self, found: StoredObject) -> bool:
        now = self._catalogue.get(found.bucket, found.key)
        return now is not None and now[0].generation == found.generation

    def _add_bucket(self, name: str, region: str, tags: Mapping[str, str]) -> Bucket:
        bucket = Bucket(name, region, self._clock.now(), dict(tags))
        self._catalogue.add_bucket(bucket)
        return bucket
