"""CloudWatch: the metrics that jobs print and what their instances use.

Owns periods and statistics. Refuses to know how points are found.
"""

from modelyard.dialects.aws.monitoring.operations import monitoring_service
from modelyard.dialects.aws.monitoring.sources import JobMetrics, MetricSource, Series

__all__ = ["JobMetrics", "MetricSource", "Series", "monitoring_service"]
