"""What artifacts need from outside: a place for bytes and a catalogue of what they are.

Owns the two ports, each with its contract in prose. Refuses to know what implements them: testing/ has a kit for
each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelyard.core.artifacts.model import Bucket, Condition, Content, Part, Segment, StoredObject, Upload

Freed = frozenset[str]
"""Blobs that no row names any longer."""


class BlobWriter(Protocol):
    """A blob being written. ``abort`` undoes it at any point before ``commit`` and is harmless after."""

    def write(self, data: bytes | memoryview) -> None: ...

    def commit(self) -> None: ...

    def abort(self) -> None: ...


class BlobReader(Protocol):
    """The bytes of a blob in a range, read on. ``read`` gives up to ``size`` bytes, none at the end."""

    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


class BlobStore(Protocol):
    """Where bytes lie.

    Owns bytes under ids that the service chose, never their meaning. Thread-safe; one writer is used by one thread at a
    time. ``create`` raises OutOfSpace before anything is written when ``expected`` bytes (None: unknown) would not
    leave the reserve free; ``write`` raises it when the disk fills up meanwhile. When ``commit`` returns, the bytes
    survive a power cut under their id; before, nothing is there under it. A crash in between leaves something that
    ``ids`` names and ``remove`` removes. ``open`` raises NotFound; an open reader goes on reading after ``remove``.
    ``remove`` of an unknown id does nothing.
    """

    def check_space(self, wanted: int) -> None:
        """Raises OutOfSpace when ``wanted`` more bytes, of blobs or of rows beside them, would use up the reserve."""
        ...

    def create(self, blob: str, expected: int | None) -> BlobWriter: ...

    def open(self, blob: str, start: int, size: int) -> BlobReader: ...

    def remove(self, blob: str) -> None: ...

    def ids(self) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class Copied:
    """A part whose bytes are those of an object that exists: the write fails when ``generation`` is gone."""

    bucket: str
    key: str
    generation: str


class Catalogue(Protocol):
    """Where buckets, objects and uploads are remembered.

    Owns rows, never bytes beyond what small objects carry in their row. Thread-safe. Each writing call is one
    transaction, on disk when it returns, and all of it or nothing. Those that end the need for blobs return the ids
    that no row names any longer: the caller removes them, and a crash before that leaves only unreferenced blobs.

    Every call that takes a bucket raises NotFound for an unknown one, ``remove_bucket`` BucketNotEmpty, ``add_bucket``
    AlreadyExists; ``put`` and ``remove`` PreconditionFailed when their condition does not hold.
    """

    def add_bucket(self, bucket: Bucket) -> None: ...

    def bucket(self, name: str) -> Bucket | None: ...

    def buckets(self) -> tuple[Bucket, ...]: ...

    def tag_bucket(self, name: str, tags: Mapping[str, str]) -> None: ...

    def remove_bucket(self, name: str) -> Freed:
        """Remove an empty bucket with its unfinished uploads."""
        ...

    def get(self, bucket: str, key: str) -> tuple[StoredObject, Content] | None: ...

    def put(self, made: StoredObject, content: Content, condition: Condition) -> Freed: ...

    def copy(self, source: Copied, made: StoredObject, condition: Condition) -> Freed:
        """Store ``made`` with the source's bytes. Raises NotFound when the source has changed since."""
        ...

    def tag(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace the object's tags. Raises NotFound."""
        ...

    def remove(self, bucket: str, key: str, condition: Condition) -> Freed:
        """Remove the object; no object satisfies every condition but ``match``."""
        ...

    def remove_many(self, bucket: str, keys: Sequence[str]) -> Freed: ...

    def list(self, bucket: str, prefix: bytes, after: bytes, limit: int) -> tuple[StoredObject, ...]:
        """Objects whose key begins with ``prefix`` and is greater than ``after``, in byte order of their keys;
        without parts and metadata."""
        ...

    def add_upload(self, upload: Upload) -> None: ...

    def upload(self, upload: str) -> Upload | None: ...

    def uploads(self, bucket: str, prefix: bytes, after: tuple[bytes, str], limit: int) -> tuple[Upload, ...]:
        """Uploads in order of key and id, from after that pair on."""
        ...

    def put_part(self, upload: str, part: Part, segments: tuple[Segment, ...], copied: Copied | None) -> Freed:
        """Raises NotFound when the upload is gone or, for a copied part, its source has changed."""
        ...

    def parts(self, upload: str, after: int, limit: int) -> tuple[Part, ...]: ...

    def complete(self, upload: str, made: StoredObject, etags: Mapping[int, str], condition: Condition) -> Freed:
        """Turn those parts, in order of number, into the object, and end the upload with all its parts.

        Raises NotFound when the upload is gone, and InvalidPart for one that is not there with that ETag.
        """
        ...

    def remove_upload(self, upload: str) -> Freed:
        """Raises NotFound."""
        ...

    def referenced(self, blobs: Collection[str]) -> frozenset[str]:
        """Those of the blobs that some row names."""
        ...
