"""Bytes on their way in: counted, hashed, held in memory while few, in a blob once many.

Owns the order of a write: blob on disk, then the row, then the old blobs go. Refuses to know who sends the bytes and
which checksums they ask for beyond the MD5 that is the ETag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from modelyard.base.errors import ModelyardError
from modelyard.core.artifacts.model import (
    ALWAYS,
    UNSTATED,
    Checksums,
    Condition,
    Content,
    Part,
    Segment,
    StoredObject,
    TooLarge,
)
from modelyard.core.artifacts.pins import Pins
from modelyard.core.artifacts.ports import BlobStore, BlobWriter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """In bytes: the longest single upload, and up to where the catalogue's row holds the bytes itself."""

    size: int = 5 << 30
    inline: int = 16 << 10


DEFAULT_LIMITS = WriteLimits()


_BESIDE = 128 << 10
_HASHING = ThreadPoolExecutor(max_workers=8, thread_name_prefix="md5")


class _Md5:
    """MD5, the slowest step of a write, computed beside it: a large piece is hashed while it is written."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._running: Future[None] | None = None

    def update(self, data: bytes | memoryview) -> None:
        """``data`` must not change afterwards."""
        self._wait()
        if len(data) < _BESIDE:
            self._md5.update(data)
        else:
            self._running = _HASHING.submit(self._md5.update, data)

    def hexdigest(self) -> str:
        self._wait()
        return self._md5.hexdigest()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()
            self._running = None


class Incoming(Generic[T]):
    """One write. Used by one thread at a time; leaving it as a context manager undoes what was not committed."""

    def __init__(
        self, name: str, blob: str, blobs: BlobStore, pins: Pins, limits: WriteLimits, expected: int | None
    ) -> None:
        """Raises TooLarge and OutOfSpace before anything is written when ``expected`` bytes cannot be taken."""
        self._name = name
        self._blob = blob
        self._blobs = blobs
        self._pins = pins
        self._limits = limits
        self._expected = expected
        self._writer: BlobWriter | None = None
        self._held: list[bytes] = []
        self._md5 = _Md5()
        self._done = False
        self.size = 0
        if expected is not None:
            self._check(expected)
            if expected > limits.inline:
                self._start_blob()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Raises TooLarge, OutOfSpace."""
        self.size += len(data)
        self._check(self.size)
        self._md5.update(data)
        if self._writer is None and self.size > self._limits.inline:
            writer = self._start_blob()
            for held in self._held:
                writer.write(held)
            self._held.clear()
        if self._writer is None:
            self._held.append(bytes(data))
        else:
            self._writer.write(data)

    @property
    def etag(self) -> str:
        """The MD5, in hex, of what was written so far."""
        return self._md5.hexdigest()

    def abort(self) -> None:
        """Undo everything; harmless after a commit."""
        if not self._done:
            self._done = True
            if self._writer is not None:
                self._writer.abort()
                self._pins.release((self._blob,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _settle(self, finish: Callable[[Content], T]) -> T:
        """Put the bytes on disk, then let ``finish`` name them in the catalogue."""
        if self._writer is None:
            self._blobs.check_space(self.size)
            made = finish(b"".join(self._held))
            self._done = True
            return made
        self._writer.commit()
        self._done = True
        try:
            return finish((Segment(self._blob, 0, self.size),))
        except ModelyardError:
            self._pins.discard((self._blob,))
            raise
        finally:
            # Any other error leaves open whether the row was written; the sweep finds out.
            self._pins.release((self._blob,))

    def _start_blob(self) -> BlobWriter:
        self._pins.take((self._blob,))
        try:
            self._writer = self._blobs.create(self._blob, self._expected)
        except BaseException:
            self._pins.release((self._blob,))
            raise
        return self._writer

    def _check(self, size: int) -> None:
        if size > self._limits.size:
            raise TooLarge(name=self._name, limit=self._limits.size)


class ObjectWriter(Incoming[StoredObject]):
    """A whole object being written."""

    finish: Callable[[ObjectWriter, Content, Checksums, Condition], StoredObject]

    def commit(self, checksums: Checksums = UNSTATED, condition: Condition = ALWAYS) -> StoredObject:
        """The object, on disk and visible. Raises PreconditionFailed, NotFound when the bucket is gone."""
        return self._settle(lambda content: self.finish(self, content, checksums, condition))


class PartWriter(Incoming[Part]):
    """A part of an upload being written; always a blob, so that completing moves no bytes."""

    finish: Callable[[PartWriter, Content, Checksums], Part]

    def commit(self, checksums: Checksums = UNSTATED) -> Part:
        """The part, on disk. Raises NotFound when the upload has ended."""
        return self._settle(lambda content: self.finish(self, content, checksums))
