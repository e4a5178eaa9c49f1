"""What a host of a job uses, in the measures of the service's instances: usage.jsonl, a point of each a minute.

Follows https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html (job metrics): processors in percent
of one, so that four busy ones are 400; memory in percent of the instance's, the disk in percent of its size. Owns
measuring the worker and all that it started. Refuses to know who asks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.clock import Clock

EVERY = 60.0
"""Seconds that one point stands for."""
LOOK = 2.0
"""Seconds between two looks at the memory, whose mean a point tells."""
SHORTEST = 0.02
"""Seconds that the last point must stand for, to be told at all."""

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processors since the beginning, bytes of memory now."""

    processors: float
    memory: int


def of_tree(root: int, proc: Path = Path("/proc")) -> Used:
    """What ``root`` and all its descendants use; processes that were waited for count with who waited."""
    told = {process.pid: process for process in _processes(proc)}
    children: dict[int, list[int]] = {}
    for process in told.values():
        children.setdefault(process.parent, []).append(process.pid)
    waiting, ticks, pages = [root], 0, 0
    while waiting:
        pid = waiting.pop()
        if pid in told:
            ticks, pages = ticks + told[pid].ticks, pages + told[pid].pages
        waiting += children.get(pid, [])
    return Used(ticks / _TICK, pages * _PAGE)


class Usage:
    """For one thread. ``memory`` is the instance's in bytes, ``disk`` a folder on the disk that is meant. Never fails
    the job: what cannot be measured or written is left out.
    """

    def __init__(self, target: Path, memory: int, disk: Path, clock: Clock) -> None:
        self._target = target
        self._memory = memory
        self._disk = disk
        self._clock = clock
        self._began = clock.monotonic()
        self._next_look = self._began
        self._processors = of_tree(os.getpid()).processors
        self._seen: list[int] = []

    def look(self) -> None:
        """Measure, if it is time; a point is written when its minute is over."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK
        used = of_tree(os.getpid())
        self._seen.append(used.memory)
        if now - self._began >= EVERY:
            with suppress(OSError):
                self._point(used, now)

    def finish(self) -> None:
        """Write the last point, of the time since the one before."""
        now = self._clock.monotonic()
        if now - self._began >= SHORTEST:
            with suppress(OSError):
                self._point(of_tree(os.getpid()), now)

    def _point(self, used: Used, now: float) -> None:
        disk = os.statvfs(self._disk)
        values = {
            "CPUUtilization": 100 * max(0.0, used.processors - self._processors) / (now - self._began),
            "MemoryUtilization": 100 * sum(self._seen or [used.memory]) / len(self._seen or [0]) / self._memory,
            "DiskUtilization": 100 * (disk.f_blocks - disk.f_bfree) / max(1, disk.f_blocks),
        }
        at = self._clock.now()
        with self._target.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"name": name, "value": values[name], "at": at}) + "\n" for name in values)
        self._began, self._processors, self._seen = now, used.processors, []


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    ticks: int
    pages: int


def _processes(proc: Path) -> Iterator[_Process]:
    """Every process that /proc shows (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)."""
    numbers: list[int] = []
    with suppress(OSError):
        numbers = [int(name) for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 - many times, and only names
    for pid in numbers:
        try:
            told = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        yield _Process(pid, int(told[1]), sum(map(int, told[11:15])), int(told[21]))
