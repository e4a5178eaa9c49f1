"""Who may start now: strict arrival order within the machine's processors and memory.

Owns the choice, as a pure function. Nobody overtakes, so nobody starves: the first that does not fit waits
and all behind it wait with it. A job larger than the machine counts as the whole machine and runs capped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.core.jobs.model import Resources
from modelyard.core.jobs.table import Demand


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all jobs together may use: processors, bytes of memory, attempts at once."""

    cpus: float
    memory: int
    jobs: int = 64


@dataclass(frozen=True, slots=True)
class Share:
    """What one host of a job gets."""

    cpus: float
    memory: int


def choose(capacity: Capacity, waiting: Sequence[Demand], active: Sequence[Demand]) -> tuple[str, ...]:
    """The ids of those at the head of ``waiting`` that fit beside ``active``.

    >>> machine = Capacity(cpus=2, memory=8)
    >>> choose(machine, [Demand("a", 1, 4), Demand("b", 16, 64), Demand("c", 1, 1)], [])
    ('a',)
    >>> choose(machine, [Demand("b", 16, 64), Demand("c", 1, 1)], [])
    ('b',)
    """
    cpus = sum(min(one.cpus, capacity.cpus) for one in active)
    memory = sum(min(one.memory, capacity.memory) for one in active)
    chosen: list[str] = []
    for one in waiting:
        cpus += min(one.cpus, capacity.cpus)
        memory += min(one.memory, capacity.memory)
        if cpus > capacity.cpus or memory > capacity.memory or len(active) + len(chosen) >= capacity.jobs:
            break
        chosen.append(one.job_id)
    return tuple(chosen)


def share(capacity: Capacity, asked: Resources) -> Share:
    """What each of the job's hosts gets: what it asks for, or an equal part of the machine if that is less.

    >>> share(Capacity(cpus=2, memory=8), Resources("ml.m5.4xlarge", instance_count=2, cpus=16, memory=64))
    Share(cpus=1.0, memory=4)
    """
    count = max(1, asked.instance_count)
    return Share(min(asked.cpus, capacity.cpus / count), min(asked.memory, capacity.memory // count))
