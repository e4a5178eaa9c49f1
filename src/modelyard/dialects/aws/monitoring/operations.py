"""CloudWatch GetMetricStatistics as the SDK's TrainingJobAnalytics asks for it.

Owns periods and statistics
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html). A datapoint
stands for [Timestamp, Timestamp + Period) seconds; the start is cut to the minute, as CloudWatch does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from modelyard.dialects.aws.monitoring.sources import MetricSource
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call

Request = dict[str, Any]

MOST_DATAPOINTS = 1_440
_SHORT_PERIODS = (1, 5, 10, 20, 30)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")

_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SampleCount": lambda values: float(len(values)),
    "Average": lambda values: math.fsum(values) / len(values),
    "Sum": math.fsum,
    "Minimum": min,
    "Maximum": max,
}


class MonitoringOperations:
    """The operations on metrics of ``source``."""

    def __init__(self, source: MetricSource) -> None:
        self._source = source

    def get_metric_statistics(self, _call: Call, request: Request) -> Request:
        start, period = _start_and_period(request)
        statistics, extended = request.get("Statistics", []), request.get("ExtendedStatistics", [])
        if not statistics and not extended:
            raise _combination("Must specify either Statistics or ExtendedStatistics")
        percents = {name: _percent(name) for name in extended}
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in request.get("Dimensions", [])}
        points = self._source.points(request["Namespace"], request["MetricName"], dimensions)
        shown = request.get("Unit", "None") == "None"
        kept = [point for point in points if shown and start <= point.at < request["EndTime"]]
        kept.sort(key=lambda point: point.at)
        datapoints = []
        for number, group in groupby(kept, key=lambda point: int((point.at - start) // period)):
            values = sorted(point.value for point in group)
            datapoint: Request = {"Timestamp": start + number * period, "Unit": "None"}
            datapoint |= {name: _STATISTICS[name](values) for name in statistics}
            if percents:
                of = {name: _percentile(values, percent) for name, percent in percents.items()}
                datapoint["ExtendedStatistics"] = of
            datapoints.append(datapoint)
        return {"Label": request["MetricName"], "Datapoints": datapoints}


def _start_and_period(request: Request) -> tuple[float, int]:
    start, end, period = request["StartTime"], request["EndTime"], request["Period"]
    if start >= end:
        raise _combination("The parameter StartTime must be less than the parameter EndTime.")
    if period % 60 and period not in _SHORT_PERIODS:
        message = f"The parameter Period must be one of {', '.join(map(str, _SHORT_PERIODS))} or a multiple of 60."
        raise AwsError("InvalidParameterValue", message)
    start -= start % (60 if period % 60 == 0 else period)
    wanted = math.ceil((end - start) / period)
    if wanted > MOST_DATAPOINTS:
        raise _combination(
            f"You have requested up to {wanted} datapoints, which exceeds the limit of {MOST_DATAPOINTS}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    return start, period


def _percent(name: str) -> float:
    found = _PERCENTILE.fullmatch(name)
    if found is None:
        raise AwsError("InvalidParameterValue", f"The extended statistic {name} is not served here, only percentiles")
    return float(found[1])


def _percentile(values: Sequence[float], percent: float) -> float:
    """The value at ``percent`` of sorted ``values``, between neighbours in proportion."""
    place = (len(values) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def _combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombination", message)


def monitoring_service(source: MetricSource) -> AwsService:
    """CloudWatch over this source."""
    service = AwsService("cloudwatch", validation_code="ValidationError")
    service.operation("GetMetricStatistics")(MonitoringOperations(source).get_metric_statistics)
    return service
