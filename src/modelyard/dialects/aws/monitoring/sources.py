"""Where metrics come from: what training jobs print and what their hosts use, as CloudWatch names it.

Follows https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html (job metrics). Owns namespaces,
dimensions and units. Refuses to know periods and statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelyard.base.errors import NotFound
from modelyard.core.jobs.model import Metric
from modelyard.core.jobs.service import JobService

TRAINING_JOBS = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one metric and their unit, as CloudWatch calls it."""

    unit: str = "None"
    points: Sequence[Metric] = ()


class MetricSource(Protocol):
    """A family of metrics.

    Only reads; thread-safe. ``series`` answers a metric's points, oldest first, none for one that does not exist.
    """

    def series(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Series: ...


class JobMetrics:
    """What MetricDefinitions found, by TrainingJobName; what an instance used, by Host (``<job>/algo-1``)."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def series(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Series:
        if namespace != TRAINING_JOBS or len(dimensions) != 1:
            return Series()
        [(dimension, value)] = dimensions.items()
        job_name, slash, host = value.partition("/")
        try:
            job = self._jobs.get(job_name)
        except NotFound:
            return Series()
        if dimension == "TrainingJobName" and not slash:
            return Series("None", self._jobs.metrics(job, name))
        if dimension == "Host":
            return Series("Percent", [point for point in self._jobs.usage(job, host) if point.name == name])
        return Series()
