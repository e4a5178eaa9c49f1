"""Periods and statistics of CloudWatch over points in time, as pure functions.

Follows https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html: a datapoint
stands for [start, start + period) seconds, and the first start is cut to the minute. Refuses to know operations and
sources.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from modelyard.core.jobs.model import Metric
from modelyard.dialects.aws.protocol import AwsError

MOST_DATAPOINTS = 1_440
_SHORT_PERIODS = (1, 5, 10, 20, 30)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")

Statistic = Callable[[Sequence[float]], float]
"""Of sorted values, at least one."""

SIMPLE: Mapping[str, Statistic] = {
    "SampleCount": lambda values: float(len(values)),
    "Average": lambda values: math.fsum(values) / len(values),
    "Sum": math.fsum,
    "Minimum": min,
    "Maximum": max,
}


@dataclass(frozen=True, slots=True)
class Periods:
    """``length`` seconds each, from epoch seconds ``start`` until ``end``."""

    start: float
    end: float
    length: int

    @property
    def count(self) -> int:
        return math.ceil((self.end - self.start) / self.length)

    def of(self, points: Sequence[Metric]) -> Iterator[tuple[float, list[float]]]:
        """When each period that has points begins, and their values, sorted."""
        kept = sorted((point for point in points if self.start <= point.at < self.end), key=lambda point: point.at)
        for number, group in groupby(kept, key=lambda point: int((point.at - self.start) // self.length)):
            yield self.start + number * self.length, sorted(point.value for point in group)


def periods(start: float, end: float, length: int) -> Periods:
    """The periods of a request. Raises AwsError for times and a length that make none."""
    if start >= end:
        raise combination("The parameter StartTime must be less than the parameter EndTime.")
    if length % 60 and length not in _SHORT_PERIODS:
        message = f"The parameter Period must be one of {', '.join(map(str, _SHORT_PERIODS))} or a multiple of 60."
        raise AwsError("InvalidParameterValue", message)
    return Periods(start - start % (60 if length % 60 == 0 else length), end, length)


def statistic(name: str) -> Statistic:
    """The statistic of that name, or percentile such as ``p90``. Raises AwsError."""
    return SIMPLE[name] if name in SIMPLE else percentile(name)


def percentile(name: str) -> Statistic:
    """Raises AwsError for an extended statistic that is none."""
    found = _PERCENTILE.fullmatch(name)
    if found is None:
        raise AwsError("InvalidParameterValue", f"The extended statistic {name} is not served here, only percentiles")
    percent = float(found[1])
    return lambda values: _at(values, percent)


def combination(message: str) -> AwsError:
    """The refusal of members that do not go together."""
    return AwsError("InvalidParameterCombination", message)


def _at(values: Sequence[float], percent: float) -> float:
    """The value at ``percent`` of sorted ``values``, between neighbours in proportion."""
    place = (len(values) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
