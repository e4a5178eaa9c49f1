"""An object's bytes on their way out, in a range, in bounded memory.

Owns reading across segments while the blobs are pinned: an object that is replaced meanwhile is read to its end as it
was.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from modelyard.core.artifacts.model import Content, Segment, StoredObject
from modelyard.core.artifacts.pins import Pins
from modelyard.core.artifacts.ports import BlobReader, BlobStore

CHUNK = 1 << 20


class ObjectReader:
    """Iterates over bytes in pieces of at most ``piece``; used by one thread at a time; closed once."""

    def __init__(self, found: StoredObject, content: Content, blobs: BlobStore, pins: Pins) -> None:
        """The blobs of ``content`` are pinned already; closing releases them."""
        self.object = found
        self._content = content
        self._blobs = blobs
        self._pins = pins
        self.piece = CHUNK
        self._start = 0
        self._size = found.size
        self._open: BlobReader | None = None

    def select(self, start: int, length: int | None = None) -> ObjectReader:
        """Read only ``length`` bytes from ``start`` on; a range past the end gives what there is."""
        self._start = min(start, self.object.size)
        rest = self.object.size - self._start
        self._size = rest if length is None else min(length, rest)
        return self

    @property
    def size(self) -> int:
        """How many bytes iteration will give."""
        return self._size

    def inline(self) -> bytes | None:
        """The selected bytes at once when they lie in the catalogue, without reading a file."""
        if isinstance(self._content, bytes):
            return self._content[self._start : self._start + self._size]
        return None

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self._content, bytes):
            if self._size:
                yield self._content[self._start : self._start + self._size]
            return
        for segment in self._cut(self._content):
            left = segment.size
            self._open = self._blobs.open(segment.blob, segment.start, segment.size)
            try:
                while left and (chunk := self._open.read(min(self.piece, left))):
                    left -= len(chunk)
                    yield chunk
            finally:
                self._open.close()
                self._open = None
            if left:
                raise OSError(f"blob {segment.blob} is {left} bytes shorter than the catalogue says")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
        if not isinstance(self._content, bytes):
            self._pins.release(segment.blob for segment in self._content)
            self._content = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def segments(self) -> tuple[Segment, ...] | None:
        """The pieces of blobs that make up the selected range; None when the bytes lie in the catalogue."""
        return None if isinstance(self._content, bytes) else tuple(self._cut(self._content))

    def _cut(self, content: tuple[Segment, ...]) -> Iterator[Segment]:
        skip, left = self._start, self._size
        for segment in content:
            if skip >= segment.size:
                skip -= segment.size
                continue
            size = min(segment.size - skip, left)
            if size:
                yield Segment(segment.blob, segment.start + skip, size)
            skip, left = 0, left - size
            if not left:
                return
