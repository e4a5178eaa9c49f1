"""Artifacts as staging sees them: keys, files and small documents at ``s3://`` locations.

Implements the shape of the jobs' port ``Inputs``, which this noun may not import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from modelyard.base.disk import RESERVE, check_room, write_all
from modelyard.core.artifacts.model import Location, TooLarge
from modelyard.core.artifacts.reading import CHUNK
from modelyard.core.artifacts.service import ArtifactService

_PAGE = 1000


class ArtifactInputs:
    """Thread-safe. ``disk_reserve`` bytes of the disk that files are fetched to stay free."""

    def __init__(self, artifacts: ArtifactService, disk_reserve: int = RESERVE) -> None:
        self._artifacts = artifacts
        self._disk_reserve = disk_reserve

    def keys(self, location: str) -> Iterator[tuple[str, int]]:
        """Every object whose key begins with the location's key, with its size. Raises NotFound, BadLocation."""
        place = Location.parse(location)
        after: bytes | None = b""
        while after is not None:
            page = self._artifacts.list_objects(place.bucket, place.key, after=after, limit=_PAGE)
            for found in page.objects:
                yield found.key, found.size
            after = page.next

    def fetch(self, location: str, target: Path) -> None:
        """Write the object as a new file. Raises NotFound, BadLocation, FileExistsError, OutOfSpace; nothing stays
        then."""
        place = Location.parse(location)
        with self._artifacts.open(place.bucket, place.key) as reader:
            check_room(target.parent, reader.size, self._disk_reserve, str(target.parent))
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                for chunk in reader:
                    write_all(fd, chunk)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
            finally:
                os.close(fd)

    def read(self, location: str, limit: int) -> bytes:
        """The object's bytes. Raises NotFound, BadLocation, and TooLarge past ``limit`` bytes."""
        place = Location.parse(location)
        with self._artifacts.open(place.bucket, place.key) as reader:
            if reader.size > limit:
                raise TooLarge(name=location, limit=limit)
            return b"".join(reader)

    def store(self, source: Path, location: str) -> None:
        """Keep a regular file as an object, on disk when this returns. Raises NotFound, BadLocation, OutOfSpace."""
        place = Location.parse(location)
        with source.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            with self._artifacts.put(place.bucket, place.key, size=size) as writer:
                while chunk := file.read(CHUNK):
                    writer.write(chunk)
                writer.commit()
