"""Reading the points that a worker left: lines of ``{"name","value","at"}`` in out/<host>/metrics.jsonl, which are the
job's metrics, and in out/<host>/usage.jsonl, which say what the host used.

Owns their checking: the files come from a sandbox and may hold anything. Refuses to know how points are found and
measured (the worker does that, inside its sandbox).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

from modelyard.core.jobs.folders import open_left
from modelyard.core.jobs.model import Metric

MAX_BYTES = 16 << 20
"""Of one host's metrics; what lies beyond is not read."""
MAX_USAGE = 4 << 20
"""Of one host's usage, which grows by 200 bytes a minute."""


def read(attempt_folder: Path, hosts: Iterable[str]) -> tuple[Metric, ...]:
    """The points of these hosts, oldest first (those of one time in order of host and line)."""
    return _points(*(_left(attempt_folder / "out" / host / "metrics.jsonl", MAX_BYTES) for host in hosts))


def usage(attempt_folder: Path, host: str) -> tuple[Metric, ...]:
    """What a host used, oldest first: as kept with its log, else as it stands until now."""
    kept = _kept(attempt_folder, host)
    left = kept if kept.exists() else attempt_folder / "out" / host / "usage.jsonl"
    return _points(_left(left, MAX_USAGE))


def keep_usage(attempt_folder: Path, hosts: Iterable[str]) -> None:
    """Put what ended hosts used beside their logs, which stay when the rest of the folder is freed."""
    for host in hosts:
        told = _left(attempt_folder / "out" / host / "usage.jsonl", MAX_USAGE)
        if told:
            target = _kept(attempt_folder, host)
            target.parent.mkdir(exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
            temporary.write_bytes(told)
            temporary.replace(target)


def _kept(attempt_folder: Path, host: str) -> Path:
    return attempt_folder / "log" / f"{host}.usage"


def _left(path: Path, limit: int) -> bytes:
    try:
        with open_left(path) as file:
            return file.read(limit)
    except OSError:
        return b""


def _points(*told: bytes) -> tuple[Metric, ...]:
    whole = (line for text in told for line in text.split(b"\n")[:-1])
    return tuple(sorted((point for point in map(_parse, whole) if point is not None), key=lambda point: point.at))


def final(points: Iterable[Metric]) -> tuple[Metric, ...]:
    """The last point of each name, in order of first appearance.

    >>> final([Metric("loss", 2.0, 1.0), Metric("loss", 1.0, 2.0)])
    (Metric(name='loss', value=1.0, at=2.0),)
    """
    last: dict[str, Metric] = {}
    for point in points:
        last[point.name] = point
    return tuple(last.values())


def _parse(line: bytes) -> Metric | None:
    try:
        entry = json.loads(line)
        name = str(entry["name"])[:255].replace("\0", "")
        name.encode()  # JSON can spell half a character, which no table keeps
        point = Metric(name, float(entry["value"]), float(entry["at"]))
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None
    return point if math.isfinite(point.value) and math.isfinite(point.at) else None
