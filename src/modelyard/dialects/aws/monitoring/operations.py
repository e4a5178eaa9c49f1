"""CloudWatch GetMetricStatistics, as the SDK's TrainingJobAnalytics asks for it, and GetMetricData.

Owns the documents
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html); periods and values are
statistics.py's. Refuses to evaluate expressions.
"""

from __future__ import annotations

from typing import Any

from modelyard.dialects.aws.monitoring.sources import MetricSource, Series
from modelyard.dialects.aws.monitoring.statistics import MOST_DATAPOINTS, SIMPLE, combination, percentile, periods
from modelyard.dialects.aws.monitoring.statistics import statistic as named
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call

Request = dict[str, Any]

MOST_DATA = 100_800
"""Datapoints of one answer of GetMetricData."""


class MonitoringOperations:
    """The operations on metrics of ``source``."""

    def __init__(self, source: MetricSource) -> None:
        self._source = source

    def get_metric_statistics(self, _call: Call, request: Request) -> Request:
        within = periods(request["StartTime"], request["EndTime"], request["Period"])
        if within.count > MOST_DATAPOINTS:
            raise combination(
                f"You have requested up to {within.count} datapoints, which exceeds the limit of {MOST_DATAPOINTS}. "
                "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
            )
        names, extended = request.get("Statistics", []), request.get("ExtendedStatistics", [])
        if not names and not extended:
            raise combination("Must specify either Statistics or ExtendedStatistics")
        percentiles = {name: percentile(name) for name in extended}
        series = self._series(request, request.get("Unit"))
        datapoints = []
        for start, values in within.of(series.points):
            datapoint: Request = {"Timestamp": start, "Unit": series.unit}
            datapoint |= {name: SIMPLE[name](values) for name in names}
            if percentiles:
                datapoint["ExtendedStatistics"] = {name: of(values) for name, of in percentiles.items()}
            datapoints.append(datapoint)
        return {"Label": request["MetricName"], "Datapoints": datapoints}

    def get_metric_data(self, _call: Call, request: Request) -> Request:
        queries = request["MetricDataQueries"]
        if len({query["Id"] for query in queries}) < len(queries):
            raise AwsError("ValidationError", "The values for parameter id in MetricDataQueries are not unique.")
        falling = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        skipped = _skipped(request.get("NextToken"))
        left = min(request.get("MaxDatapoints", MOST_DATA), MOST_DATA)
        results, further = [], skipped
        for query in queries:
            data = self._data(query, request)
            if not query.get("ReturnData", True):
                continue
            data = data[::-1] if falling else data
            page, cut = data[skipped : skipped + left], skipped + left < len(data)
            left, skipped, further = left - len(page), max(0, skipped - len(data)), further + len(page)
            results.append(_result(query, page, "PartialData" if cut else "Complete"))
            if left == 0:
                break
        whole = len(results) == sum(query.get("ReturnData", True) for query in queries)
        done = whole and all(result["StatusCode"] == "Complete" for result in results)
        return {"MetricDataResults": results, **({} if done else {"NextToken": f"{further}"})}

    def _data(self, query: Request, request: Request) -> list[tuple[float, float]]:
        if "MetricStat" not in query:
            message = f"The query {query['Id']} is no MetricStat: expressions are not evaluated here."
            raise AwsError("ValidationError", message)
        asked = query["MetricStat"]
        within = periods(request["StartTime"], request["EndTime"], asked["Period"])
        of, series = named(asked["Stat"]), self._series(asked["Metric"], asked.get("Unit"))
        return [(start, of(values)) for start, values in within.of(series.points)]

    def _series(self, metric: Request, unit: str | None) -> Series:
        """The points of a metric; none where they have another unit than is asked for."""
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions", [])}
        series = self._source.series(metric.get("Namespace", ""), metric.get("MetricName", ""), dimensions)
        return series if unit in (None, series.unit) else Series(series.unit)


def _result(query: Request, page: list[tuple[float, float]], status: str) -> Request:
    return {
        "Id": query["Id"],
        "Label": query.get("Label", query["MetricStat"]["Metric"].get("MetricName", "")),
        "Timestamps": [start for start, _ in page],
        "Values": [value for _, value in page],
        "StatusCode": status,
    }


def _skipped(token: str | None) -> int:
    """How many datapoints the pages before held. Raises AwsError for what is no token of ours."""
    if token is None:
        return 0
    if not token.isdecimal() or len(token) > 12:
        raise AwsError("InvalidNextToken", "The next token specified is invalid.")
    return int(token)


def monitoring_service(source: MetricSource) -> AwsService:
    """CloudWatch over this source."""
    service = AwsService("cloudwatch", validation_code="ValidationError")
    operations = MonitoringOperations(source)
    service.operation("GetMetricStatistics")(operations.get_metric_statistics)
    service.operation("GetMetricData")(operations.get_metric_data)
    return service
