"""Artifacts as values: buckets, objects, uploads in parts, and where they lie.

Owns what an object is once stored. Names follow S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide),
because every door speaks of artifacts by ``s3://`` locations. Refuses to know wire forms and files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelyard.base.errors import Conflict, Forbidden, Invalid, LimitExceeded

ChecksumType = Literal["FULL_OBJECT", "COMPOSITE"]

MODELS_BUCKET = "modelyard-models"
"""The bucket that shows the models' own files; nobody writes to it from outside."""

KEY_LIMIT = 1024
"""Bytes of UTF-8 in a key."""

_BUCKET = re.compile(r"(?=.{3,63}\Z)[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*(?<!-)\Z")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+\Z")
_ON_DEMAND = re.compile(r"sagemaker-([a-z]{2}(?:-[a-z]+)+-\d+)-\d{12}\Z")


class BadBucketName(Invalid):
    """The bucket name {name!r} is not valid: 3 to 63 of a-z, 0-9, '-' and '.', beginning and ending with
    a letter or digit."""

    code = "bad_bucket_name"


class BadKey(Invalid):
    """The key {name!r} is not valid: 1 to 1024 bytes of UTF-8."""

    code = "bad_key"


class BadLocation(Invalid):
    """{location!r} is not a location of the form s3://bucket/key."""


class BucketNotEmpty(Conflict):
    """The bucket {name!r} still holds objects; delete them first."""

    code = "bucket_not_empty"


class PreconditionFailed(Conflict):
    """The condition {condition} does not hold for {name!r}."""

    code = "precondition_failed"


class TooLarge(LimitExceeded):
    """{name!r} would be longer than the {limit} bytes that one upload may have."""

    code = "too_large"


class ReadOnlyBucket(Forbidden):
    """The bucket {name!r} is read-only: it shows the files of registered models."""

    code = "read_only_bucket"


class InvalidPart(Invalid):
    """Part {number} of upload {upload!r} was not uploaded, or has another ETag."""

    code = "invalid_part"


class PartTooSmall(Invalid):
    """Part {number} of upload {upload!r} has {size} bytes; every part but the last needs at least {minimum}."""

    code = "part_too_small"


@dataclass(frozen=True, slots=True)
class Location:
    """An object's or prefix's place. ``key`` may be empty.

    >>> Location.parse("s3://data/iris/train.csv")
    Location(bucket='data', key='iris/train.csv')
    >>> str(Location("data", "out"))
    's3://data/out'
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Location:
        """Raises BadLocation."""
        scheme, separator, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme.lower() != "s3" or not separator or not is_bucket_name(bucket) or not _fits(key):
            raise BadLocation(location=text)
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def is_bucket_name(name: str) -> bool:
    """Whether S3 would take this name for a general-purpose bucket."""
    return bool(_BUCKET.match(name)) and not _ADDRESS.match(name)


def check_key(key: str) -> bytes:
    """The key's bytes. Raises BadKey."""
    if not key or not _fits(key):
        raise BadKey(name=key[:100])
    return key.encode()


def region_made_on_demand(bucket: str) -> str | None:
    """The region of a bucket that the SageMaker SDKs expect to exist: ``sagemaker-<region>-<account>``.

    >>> region_made_on_demand("sagemaker-eu-west-1-000000000000")
    'eu-west-1'
    """
    match = _ON_DEMAND.match(bucket)
    return match[1] if match else None


def _fits(key: str) -> bool:
    try:
        return len(key.encode()) <= KEY_LIMIT
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True, slots=True)
class Bucket:
    """A namespace of keys."""

    name: str
    region: str
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Properties:
    """What a client says about an object and gets back with it: content headers, user metadata, tags."""

    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checksums:
    """Values in base64 by algorithm name, over the whole object or over its parts' checksums."""

    type: ChecksumType = "FULL_OBJECT"
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part of an object that was uploaded in parts."""

    number: int
    size: int
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it lies. ``generation`` is new with each write: equal generations are equal bytes."""

    bucket: str
    key: str
    generation: str
    size: int
    etag: str
    """MD5 in hex, or for parts the MD5 of their MD5s, a dash and their count; without quotes."""
    modified: float
    properties: Properties = Properties()
    checksums: Checksums = Checksums()
    parts: tuple[PartInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """``size`` bytes of a blob from ``start`` on."""

    blob: str
    start: int
    size: int


Content = bytes | tuple[Segment, ...]
"""An object's bytes: themselves where small, else the segments that make them up, in order."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for the object that lies at the key when a write takes effect.

    ``match`` is an ETag or ``*`` (some object), ``absent`` that there is none.
    """

    match: str | None = None
    absent: bool = False

    def holds(self, etag: str | None) -> bool:
        """Whether an object with this ETag (None: no object) satisfies it."""
        if self.absent and etag is not None:
            return False
        return self.match is None or (etag is not None and self.match in ("*", etag))


PLAIN = Properties()
"""Nothing was said about the object."""

UNSTATED = Checksums()
"""No checksum but the ETag."""

ALWAYS = Condition()
"""The condition that every object, and none, satisfies."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object on its way, in parts."""

    id: str
    bucket: str
    key: str
    created: float
    properties: Properties = Properties()
    algorithm: str | None = None
    checksum_type: ChecksumType | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived. A number that is sent again replaces the earlier one."""

    number: int
    size: int
    etag: str
    modified: float
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a listing: objects and common prefixes in key order; ``next`` continues it."""

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    next: bytes | None = None
    last: str = ""
    """The last key or prefix shown."""
