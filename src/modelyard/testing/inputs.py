"""FolderInputs: artifacts as a folder, ``<root>/<bucket>/<key>``; the documented fake of core.jobs.ports.Inputs.

It keeps the port's promises for keys that are file names; a real store also keeps ``p`` beside ``p/q``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from modelyard.base.errors import NotFound


class FolderInputs:
    """``fetched`` lists the locations that were read, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fetched: list[str] = []

    def put(self, location: str, content: bytes | str) -> str:
        """Lay an object down; its location."""
        path = self._path(location)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return location

    def get(self, location: str) -> bytes:
        """An object's content. Raises NotFound."""
        path = self._path(location)
        if not path.is_file():
            raise NotFound(kind="object", name=location)
        return path.read_bytes()

    def names(self, location: str) -> list[str]:
        """The keys below a prefix, sorted."""
        return sorted(key for key, _size in self.keys(location))

    def keys(self, location: str) -> Iterator[tuple[str, int]]:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        folder = self.root / bucket
        if not folder.is_dir():
            raise NotFound(kind="bucket", name=bucket)
        for path in folder.rglob("*"):
            key = path.relative_to(folder).as_posix()
            if path.is_file() and key.startswith(prefix):
                yield key, path.stat().st_size

    def fetch(self, location: str, target: Path) -> None:
        self.fetched.append(location)
        content = self.get(location)
        with target.open("xb") as file:
            file.write(content)

    def read(self, location: str, limit: int) -> bytes:
        self.fetched.append(location)
        return self.get(location)[:limit]

    def store(self, source: Path, location: str) -> None:
        target = self._path(location)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as content, target.open("wb") as sink:
            shutil.copyfileobj(content, sink)

    def _path(self, location: str) -> Path:
        return self.root / location.removeprefix("s3://")
