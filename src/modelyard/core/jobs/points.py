"""Reading the metric points that a worker left: lines of ``{"name","value","at"}`` in out/<host>/metrics.jsonl.

Owns their checking: the file comes from a sandbox and may hold anything. Refuses to know how points are found
in log lines (the worker does that, inside its sandbox).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from modelyard.core.jobs.folders import open_left
from modelyard.core.jobs.model import Metric

MAX_BYTES = 16 << 20
"""Of one host's file; what lies beyond is not read."""


def read(attempt_folder: Path, hosts: Iterable[str]) -> tuple[Metric, ...]:
    """The points of these hosts, oldest first (those of one time in order of host and line)."""
    found: list[Metric] = []
    for host in hosts:
        try:
            with open_left(attempt_folder / "out" / host / "metrics.jsonl") as file:
                lines = file.read(MAX_BYTES).split(b"\n")
        except OSError:
            continue
        found += [point for point in map(_parse, lines[:-1]) if point is not None]
    return tuple(sorted(found, key=lambda point: point.at))


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
        point = Metric(str(entry["name"])[:255], float(entry["value"]), float(entry["at"]))
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None
    return point if math.isfinite(point.value) and math.isfinite(point.at) else None
