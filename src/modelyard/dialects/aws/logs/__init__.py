"""CloudWatch Logs: what jobs and endpoints print.

Owns groups, streams and filter patterns. Refuses to know where lines are kept.
"""

from modelyard.dialects.aws.logs.operations import logs_service
from modelyard.dialects.aws.logs.sources import EndpointLogs, JobLogs, LogSource

__all__ = ["EndpointLogs", "JobLogs", "LogSource", "logs_service"]
