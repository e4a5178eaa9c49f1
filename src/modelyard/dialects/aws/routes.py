"""What clients of AWS expect beside SageMaker: S3, STS, IAM, Logs and CloudWatch, and a plain refusal of all else.

Owns this list and its place: last, because a call that is signed for AWS and that no dialect claimed is answered
here, as an operation that we lack. Refuses to know what the services do.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from modelyard.dialects.aws.iam import iam_service
from modelyard.dialects.aws.logs import EndpointLogs, JobLogs, logs_service
from modelyard.dialects.aws.monitoring import JobMetrics, monitoring_service
from modelyard.dialects.aws.protocol import AwsService, aws_door
from modelyard.dialects.aws.s3.routes import S3Dialect
from modelyard.dialects.aws.sts import sts_service
from modelyard.dialects.plugin import Core, Dialect, Door


def open_doors(core: Core, threads: Executor) -> Sequence[Door]:
    """S3's door and that of the other services."""
    settings = core.settings
    s3 = S3Dialect(core.artifacts, core.keys.lookup, core.clock, settings.account_id, settings.region)
    return (s3, aws_door(companions(core), core, threads, takes_rest=True))


def companions(core: Core) -> tuple[AwsService, ...]:
    """The services beside S3."""
    return (
        sts_service(core.keys, core.roles),
        iam_service(core.roles, core.policies),
        logs_service((JobLogs(core.jobs), EndpointLogs(core.deployments))),
        monitoring_service(JobMetrics(core.jobs)),
    )


DIALECT = Dialect(open_doors, order=100)
