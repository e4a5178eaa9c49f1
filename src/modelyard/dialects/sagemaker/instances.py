"""How much an instance type may use: processors and memory by the size rule of its family.

Owns the rule; the jobs noun caps it to the machine. Sizes follow https://aws.amazon.com/ec2/instance-types/
to within their few exceptions.
"""

from __future__ import annotations

import re

from modelyard.core.jobs.model import Resources

_TYPE = re.compile(r"ml\.([a-z]+)[^.]*\.(?:(\d*)xlarge|(medium|large))$")
_GIB = 1 << 30
_GIB_PER_CPU = {"c": 2, "inf": 2, "m": 4, "t": 4, "g": 4, "trn": 4, "r": 8, "p": 8, "dl": 8}


def resources(instance_type: str, count: int) -> Resources:
    """What each of ``count`` instances may use. A type without a rule counts as ml.m5.large.

    >>> resources("ml.m5.2xlarge", 1).cpus, resources("ml.c5.large", 1).memory >> 30
    (8.0, 4)
    """
    cpus, memory = _size(instance_type)
    return Resources(instance_type, count, cpus, memory)


def _size(instance_type: str) -> tuple[float, int]:
    found = _TYPE.match(instance_type)
    if found is None:
        return 2.0, 8 * _GIB
    family, times, small = found.groups()
    per_cpu = _GIB_PER_CPU.get(family, 4)
    if small == "medium":
        return (2.0, 4 * _GIB) if family == "t" else (1.0, per_cpu * _GIB)
    cpus = 2 if small else 4 * int(times or 1)
    return float(cpus), cpus * per_cpu * _GIB
