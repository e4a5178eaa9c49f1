"""Where metrics come from: what training jobs print, as CloudWatch names it.

Owns namespaces and dimensions. Refuses to know periods and statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from modelyard.base.errors import NotFound
from modelyard.core.jobs.model import Metric
from modelyard.core.jobs.service import JobService

TRAINING_JOBS = "/aws/sagemaker/TrainingJobs"


class MetricSource(Protocol):
    """A family of metrics.

    Only reads; thread-safe. ``points`` answers a metric's points, oldest first, nothing for a metric that does not
    exist.
    """

    def points(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Sequence[Metric]: ...


class JobMetrics:
    """Metrics of training jobs by TrainingJobName, and by Host (``<job>/algo-1``) of jobs that have one host."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def points(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Sequence[Metric]:
        if namespace != TRAINING_JOBS or len(dimensions) != 1:
            return ()
        job_name, slash, host = dimensions.get("TrainingJobName", dimensions.get("Host", "")).partition("/")
        if bool(slash) != ("Host" in dimensions):
            return ()
        try:
            job = self._jobs.get(job_name)
        except NotFound:
            return ()
        if host and job.spec.resources.hosts != (host,):
            return ()
        return self._jobs.metrics(job, name)
