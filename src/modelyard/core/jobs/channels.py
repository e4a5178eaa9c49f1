"""Which objects a channel names, the file names they get, and which host gets which.

Owns S3Prefix, ManifestFile and AugmentedManifestFile, sharding by key and the rule that no key leaves its
channel's folder (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html).
Refuses to know where objects are kept (the Inputs port) and how an attempt's folder is laid out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from modelyard.base.errors import Invalid
from modelyard.core.jobs.model import Channel
from modelyard.core.jobs.ports import Inputs

MANIFEST_LIMIT = 64 << 20
"""Bytes of a manifest that are read."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a record: an object at ``location`` that gets the file name ``name``, or ``text`` as it is."""

    location: str = ""
    name: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What a Pipe channel sends in one go: an object, or the chosen attributes of one manifest line."""

    parts: tuple[Part, ...]


class NoInput(Invalid):
    """No S3 objects found under S3 URL "{location}" given in input data source. Please ensure that the bucket
    exists and that objects exist under that S3 prefix (channel {channel!r})."""


class BadInput(Invalid):
    """Channel {channel!r}: {why}"""


def records(inputs: Inputs, channel: Channel) -> tuple[Record, ...]:
    """Everything that ``channel`` names, in the order of its keys or of its manifest.

    Raises NoInput when it names nothing, BadInput for a manifest or key that cannot be used.
    """
    if channel.source == "prefix":
        found = tuple(Record((part,)) for part in _prefix(inputs, channel))
    elif channel.source == "manifest":
        found = tuple(Record((part,)) for part in _manifest(inputs, channel))
    else:
        found = tuple(_augmented(inputs, channel))
    if not found:
        raise NoInput(location=channel.location, channel=channel.name)
    return found


def shard(everything: Sequence[T], host: int, hosts: int) -> tuple[T, ...]:
    """The share of host number ``host`` (from 0): every ``hosts``-th, so that shares differ by one at most.

    >>> shard("abcde", 0, 2), shard("abcde", 1, 2)
    (('a', 'c', 'e'), ('b', 'd'))
    """
    return tuple(everything[host::hosts])


def files(chosen: Iterable[Record], channel: Channel) -> dict[str, str]:
    """File name -> location of every object in ``chosen``. Raises BadInput when two objects claim one name
    or one object's name is another's folder (``p`` beside ``p/q``)."""
    named: dict[str, str] = {}
    folders: set[str] = set()
    for record in chosen:
        for part in record.parts:
            if part.text is not None:
                continue
            other = named.setdefault(part.name, part.location)
            if other != part.location:
                raise BadInput(channel=channel.name, why=f"{other} and {part.location} have the same file name")
            folders.update(str(parent) for parent in PurePosixPath(part.name).parents)
    for name in named.keys() & folders:
        raise BadInput(channel=channel.name, why=f"{named[name]} is both an object and the folder of others")
    return named


def split(location: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``; the key is taken raw and may be empty. Raises Invalid."""
    scheme, _, rest = location.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise Invalid(what=f"{location!r} is not a location of the form s3://bucket/key")
    return bucket, key


def relative_name(prefix: str, key: str) -> str:
    """The part of ``key`` that becomes a file name: below the prefix's folder, or beside it for a prefix that
    ends inside a name.

    >>> relative_name("data/", "data/a/b.csv"), relative_name("data", "data/b.csv")
    ('a/b.csv', 'b.csv')
    >>> relative_name("data/train", "data/train-2.csv"), relative_name("data/b.csv", "data/b.csv")
    ('train-2.csv', 'b.csv')
    """
    if not prefix or prefix.endswith("/"):
        return key[len(prefix) :]
    if key.startswith(prefix + "/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def safe_name(relative: str) -> str | None:
    """``relative`` as a path below a folder, empty parts dropped; None when it would leave the folder or
    cannot be a file's name.

    >>> safe_name("a//b.csv"), safe_name("../x"), safe_name("/etc/passwd")
    ('a/b.csv', None, 'etc/passwd')
    """
    parts = [part for part in relative.split("/") if part]
    if not parts or any(part in (".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts):
        return None
    name = "/".join(parts)
    return name if len(name.encode()) < 3072 else None


def _prefix(inputs: Inputs, channel: Channel) -> Iterator[Part]:
    bucket, prefix = split(channel.location)
    for key, _size in sorted(inputs.keys(channel.location)):
        if not key.endswith("/"):
            yield _part(channel, f"s3://{bucket}/{key}", relative_name(prefix, key))


def _part(channel: Channel, location: str, relative: str) -> Part:
    name = safe_name(relative)
    if name is None:
        raise BadInput(channel=channel.name, why=f"{location!r} cannot be the name of a file below the channel")
    if channel.compression == "gzip" and name.endswith(".gz") and len(PurePosixPath(name).name) > 3:
        name = name.removesuffix(".gz")
    return Part(location, name)


def _manifest(inputs: Inputs, channel: Channel) -> Iterator[Part]:
    try:
        entries = json.loads(inputs.read(channel.location, MANIFEST_LIMIT))
    except ValueError as error:
        raise BadInput(channel=channel.name, why=f"{channel.location} is not a JSON manifest: {error}") from error
    shape_holds = isinstance(entries, list) and entries and isinstance(entries[0], dict)
    prefix = entries[0].get("prefix") if shape_holds else None
    if not isinstance(prefix, str) or not all(isinstance(entry, str) for entry in entries[1:]):
        why = f'{channel.location} must be a JSON list: {{"prefix": "s3://bucket/folder/"}}, then relative keys'
        raise BadInput(channel=channel.name, why=why)
    split(prefix)
    for entry in entries[1:]:
        yield _part(channel, prefix + entry, entry)


def _augmented(inputs: Inputs, channel: Channel) -> Iterator[Record]:
    content = inputs.read(channel.location, MANIFEST_LIMIT)
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise BadInput(channel=channel.name, why=f"{channel.location} line {number}: {error}") from error
        if not isinstance(entry, dict):
            raise BadInput(channel=channel.name, why=f"{channel.location} line {number} is not a JSON object")
        yield Record(tuple(_attribute(channel, entry, name, number) for name in channel.attributes))


def _attribute(channel: Channel, entry: dict[str, Any], attribute: str, number: int) -> Part:
    if attribute not in entry:
        why = f"{channel.location} line {number} has no attribute {attribute!r}"
        raise BadInput(channel=channel.name, why=why)
    value = entry[attribute]
    if not attribute.endswith("-ref"):
        return Part(text=value if isinstance(value, str) else json.dumps(value))
    if not isinstance(value, str):
        raise BadInput(channel=channel.name, why=f"{channel.location} line {number}: {attribute} is not a location")
    return _part(channel, value, split(value)[1])
