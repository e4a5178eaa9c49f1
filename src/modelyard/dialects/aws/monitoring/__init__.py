"""CloudWatch: the metrics that jobs print."""

from modelyard.dialects.aws.monitoring.operations import monitoring_service
from modelyard.dialects.aws.monitoring.sources import JobMetrics, MetricSource

__all__ = ["JobMetrics", "MetricSource", "monitoring_service"]
