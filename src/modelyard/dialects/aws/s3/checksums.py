"""The checksums that S3 knows: computed as bytes pass, joined for uploads in parts.

Follows https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html. The CRCs beyond
zlib's and the xxHashes come from AWS's own library, imported when first asked for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from modelyard.core.artifacts.model import ChecksumType

_SIZES = {
    "CRC32": 4,
    "CRC32C": 4,
    "CRC64NVME": 8,
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "MD5": 16,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}
ALGORITHMS = tuple(_SIZES)
HEADERS = {f"x-amz-checksum-{name.lower()}": name for name in ALGORITHMS}
_CRCS = frozenset(("CRC32", "CRC32C", "CRC64NVME"))
_HASHES = frozenset(("SHA1", "SHA256", "SHA512", "MD5"))


class Hasher(Protocol):
    """A checksum under way. ``update`` may be called from any thread, one at a time."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A cyclic redundancy check as a hasher."""

    def __init__(self, step: Callable[[bytes, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size)


class _XxHash:
    """AWS's xxHash objects say ``finalize`` where hashlib says ``digest``."""

    def __init__(self, running: _Finalizable) -> None:
        self._running = running
        self._digest: bytes | None = None

    def update(self, data: bytes, /) -> None:
        self._running.update(data)

    def digest(self) -> bytes:
        if self._digest is None:
            self._digest = self._running.finalize()
        return self._digest


class _Finalizable(Protocol):
    def update(self, data: bytes) -> None: ...

    def finalize(self) -> bytes: ...


def new_hasher(algorithm: str) -> Hasher:
    """A fresh hasher of one of ``ALGORITHMS``."""
    if algorithm in _HASHES:
        return cast(Hasher, hashlib.new(algorithm.lower(), usedforsecurity=False))
    if algorithm == "CRC32":
        return _Crc(zlib.crc32, 4)
    from awscrt import checksums  # noqa: PLC0415 - 12 MB that most requests never need

    makers: dict[str, Callable[[], Hasher]] = {
        "CRC32C": lambda: _Crc(checksums.crc32c, 4),
        "CRC64NVME": lambda: _Crc(checksums.crc64nvme, 8),
        "XXHASH64": lambda: _XxHash(checksums.XXHash.new_xxhash64()),
        "XXHASH3": lambda: _XxHash(checksums.XXHash.new_xxhash3_64()),
        "XXHASH128": lambda: _XxHash(checksums.XXHash.new_xxhash3_128()),
    }
    return makers[algorithm]()


def encode(digest: bytes) -> str:
    """A digest as it stands in headers and documents."""
    return base64.b64encode(digest).decode()


def is_valid(algorithm: str, value: str) -> bool:
    """Whether a stated value can be one of this algorithm's."""
    try:
        return len(base64.b64decode(value, validate=True)) == _SIZES[algorithm]
    except (binascii.Error, ValueError):
        return False


def default_type(algorithm: str) -> ChecksumType:
    """How an upload's checksum is joined when the client does not say."""
    return "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"


def allows(algorithm: str, kind: ChecksumType) -> bool:
    """Whether an upload's checksum may be joined that way: only CRCs can be joined to one of the whole."""
    return algorithm in _CRCS if kind == "FULL_OBJECT" else algorithm != "CRC64NVME"


def join(algorithm: str, kind: ChecksumType, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of an object from those of its parts, each with its part's size in bytes."""
    digests = [base64.b64decode(value) for value, _ in parts]
    if kind == "COMPOSITE":
        hasher = new_hasher(algorithm)
        hasher.update(b"".join(digests))
        return f"{encode(hasher.digest())}-{len(parts)}"
    combine = _combiner(algorithm)
    whole = int.from_bytes(digests[0])
    for digest, (_, size) in zip(digests[1:], parts[1:], strict=True):
        whole = combine(whole, int.from_bytes(digest), size)
    return encode(whole.to_bytes(_SIZES[algorithm]))


def _combiner(algorithm: str) -> Callable[[int, int, int], int]:
    from awscrt import checksums  # noqa: PLC0415

    combiners = {
        "CRC32": checksums.combine_crc32,
        "CRC32C": checksums.combine_crc32c,
        "CRC64NVME": checksums.combine_crc64nvme,
    }
    return cast(Callable[[int, int, int], int], combiners[algorithm])
