"""Reading the log of one host: lines of ``<epoch ms>\\t<text>`` in a file that only grows.

Owns offsets, pages and times. Refuses to know whose log it is. A line counts once its newline is there, so
what a page shows never changes. Its events and tokens are CloudWatch's
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelyard.core.jobs.folders import open_left
from modelyard.core.jobs.model import Job, LogLine, LogPage

BLOCK = 64 << 10
MAX_PAGE = 1 << 20
"""Bytes of one page, as in CloudWatch; at least one line is shown whatever its size."""


def log_file(attempt_folder: Path, host: str) -> Path:
    """Where the supervisor writes a host's log."""
    return attempt_folder / "log" / f"{host}.log"


def first_epoch(job: Job) -> int:
    """What names the streams of a job's first attempt, known before it is made: the creation, in seconds."""
    return int(job.created)


@dataclass(frozen=True, slots=True)
class Window:
    """What is read of a log: at most ``limit`` lines forward from ``offset`` (None: the start), or ``backward``
    from it (None: the end). Only lines whose time t has ``since <= t < until``, in epoch milliseconds."""

    offset: int | None = None
    limit: int = 10_000
    backward: bool = False
    since: int | None = None
    until: int | None = None


FROM_START = Window()


def read_page(path: Path, window: Window) -> LogPage:
    """The lines of ``window``. A file that is not there yet reads as empty."""
    offset = window.offset
    try:
        file = open_left(path)
    except FileNotFoundError:
        return LogPage((), offset or 0, offset or 0)
    with file:
        size = os.fstat(file.fileno()).st_size
        low = 0 if window.since is None else _first_at(file, size, window.since)
        high = size if window.until is None else _first_at(file, size, window.until)
        if window.backward:
            return _backward(file, low, high if offset is None else max(low, min(offset, high)), window.limit)
        return _forward(file, min(max(low, offset or 0), size), high, window.limit)


def span(path: Path) -> tuple[int | None, int | None, int]:
    """The times of the first and the last line in epoch milliseconds, and the size in bytes."""
    try:
        file = open_left(path)
    except FileNotFoundError:
        return None, None, 0
    with file:
        size = os.fstat(file.fileno()).st_size
        first = next(_lines(file, 0, size), None)
        if first is None:
            return None, None, size
        last = _backward(file, 0, size, 1).lines
        return first[0].at, last[-1].at if last else first[0].at, size


def last_text(path: Path, lines: int = 20) -> str | None:
    """The last line that says something, of the last ``lines``."""
    page = read_page(path, Window(limit=lines, backward=True))
    return next((line.text.strip() for line in reversed(page.lines) if line.text.strip()), None)


def text(path: Path) -> str:
    """All that was printed, without its times; nothing for a file that is not there."""
    try:
        file = open_left(path)
    except FileNotFoundError:
        return ""
    with file:
        return "\n".join(line.text for line, _after in _lines(file, 0, os.fstat(file.fileno()).st_size))


def _forward(file: BinaryIO, start: int, high: int, limit: int) -> LogPage:
    kept: list[LogLine] = []
    end = start
    for line, after in _lines(file, start, high):
        if len(kept) >= limit or (kept and after - start > MAX_PAGE):
            break
        kept.append(line)
        end = after
    return LogPage(tuple(kept), start, end)


def _backward(file: BinaryIO, low: int, end: int, limit: int) -> LogPage:
    """Looks at ever more bytes before ``end`` until ``limit`` whole lines lie in them."""
    width = BLOCK
    while True:
        start = max(low, end - width)
        begin = start if start == low else _next_line(file, start, end)
        found = list(_lines(file, begin, end))
        if start == low or len(found) >= limit or (found and width >= MAX_PAGE):
            break
        width *= 4
    kept = found[-limit:]
    if not kept:
        return LogPage((), begin, begin)
    return LogPage(tuple(line for line, _after in kept), kept[0][0].offset, kept[-1][1])


def _lines(file: BinaryIO, start: int, end: int) -> Iterator[tuple[LogLine, int]]:
    """Whole lines that begin at ``start`` or later and end at ``end`` or before, each with where it ends."""
    file.seek(start)
    at = start
    while at < end:
        raw = file.readline()
        if not raw.endswith(b"\n") or at + len(raw) > end:
            return
        yield _parse(raw, at), at + len(raw)
        at += len(raw)


def _parse(raw: bytes, offset: int) -> LogLine:
    stamp, tab, text = raw[:-1].partition(b"\t")
    if not tab or not stamp.isdigit():
        return LogLine(0, raw[:-1].decode("utf-8", "replace"), offset)
    return LogLine(int(stamp), text.decode("utf-8", "replace"), offset)


def _next_line(file: BinaryIO, position: int, end: int) -> int:
    """Where the first line begins that begins at ``position`` or later."""
    if position == 0:
        return 0
    file.seek(position - 1)
    return min(position - 1 + len(file.readline()), end)


def _first_at(file: BinaryIO, size: int, at: int) -> int:
    """Where the first line of time ``at`` or later begins, by bisection: times never fall within a file."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        begin = _next_line(file, middle, size)
        line = next(_lines(file, begin, size), None)
        if line is None or line[0].at >= at:
            high = middle
        else:
            low = line[1]
    return min(_next_line(file, low, size), size)
