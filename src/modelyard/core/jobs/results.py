"""What an ended attempt left, read as what a stranger left: regular files only, no links, bounded.

Owns the way from ``out/<host>`` and ``ml/<host>`` of an attempt's folder to artifacts and failure text; points.py
reads the metrics.
Everything it stores has the same name on every try, so that a try after a crash replaces the crashed one's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.core.jobs import packing
from modelyard.core.jobs.ports import Inputs

FAILURE_LIMIT = 1024
"""Characters of /opt/ml/output/failure that count."""


def failure_text(folder: Path, hosts: tuple[str, ...]) -> str | None:
    """What the first host that wrote one left in /opt/ml/output/failure."""
    for host in hosts:
        content = _content(folder / "ml" / host, "output/failure", 4 * FAILURE_LIMIT)
        text = content.decode("utf-8", "replace").strip()[:FAILURE_LIMIT]
        if text:
            return text
    return None


def _content(folder: Path, name: str, limit: int) -> bytes:
    fd = packing.open_regular(folder, name)
    if fd is None:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read(limit)


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[Path | None]:
    """A path that leads to the regular file ``name`` whatever is done to the folder meanwhile."""
    fd = packing.open_regular(folder, name)
    try:
        yield None if fd is None else Path(f"/proc/self/fd/{fd}")
    finally:
        if fd is not None:
            os.close(fd)


def store_archive(
    inputs: Inputs, folder: Path, hosts: tuple[str, ...], packed: str, source: str, location: str, *, keep_empty: bool
) -> bool:
    """Store what the hosts left in ``ml/<host>/<source>`` at ``location``: the worker's own
    ``out/<host>/<packed>`` if one host alone has something, else one archive of all. False: nothing stored."""
    roots = [folder / "ml" / host / source for host in hosts]
    filled = [host for host, root in zip(hosts, roots, strict=True) if not packing.is_empty(root)]
    if not filled and not keep_empty:
        return False
    if len(filled) <= 1:
        with _readable(folder / "out" / (filled or hosts)[0], packed) as path:
            if path is not None:
                inputs.store(path, location)
                return True
    whole = folder / f"{os.getpid()}-{os.urandom(4).hex()}-{packed}"
    try:
        packing.pack(roots, whole)
        inputs.store(whole, location)
    finally:
        whole.unlink(missing_ok=True)
    return True


def store_folder(inputs: Inputs, folder: Path, location: str, changed: Callable[[str, os.stat_result], bool]) -> int:
    """Store each regular file below ``folder`` that ``changed`` says so of under ``location``/its name."""
    count = 0
    for found in packing.walk(folder):
        if found.fd is not None and changed(found.name, found.status):
            inputs.store(Path(f"/proc/self/fd/{found.fd}"), f"{location.rstrip('/')}/{found.name}")
            count += 1
    return count
