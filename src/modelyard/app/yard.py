"""Everything that the server process runs over one data directory: core, controllers and doors.

Owns their composition, their start and their end. A reset ends one yard and makes the next in its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from modelyard.app.controllers import Controllers
from modelyard.app.house import House
from modelyard.app.http import Door
from modelyard.app.loops import Loop
from modelyard.core.deployments.ports import Routes
from modelyard.dialects.aws.iam.operations import iam_service
from modelyard.dialects.aws.logs.operations import logs_service
from modelyard.dialects.aws.logs.sources import EndpointLogs, JobLogs
from modelyard.dialects.aws.monitoring.operations import monitoring_service
from modelyard.dialects.aws.monitoring.sources import JobMetrics
from modelyard.dialects.aws.protocol.dispatch import AwsDispatcher
from modelyard.dialects.aws.s3.routes import S3Dialect
from modelyard.dialects.aws.sts.operations import sts_service
from modelyard.dialects.sagemaker.hold import Holds
from modelyard.dialects.sagemaker.routes import sagemaker_service
from modelyard.dialects.sagemaker.services import SageMakerServices


class Yard:
    """``routes`` is the front's table; ``url`` where jobs reach this server."""

    def __init__(self, house: House, routes: Routes, url: str) -> None:
        self.house = house
        self._threads = ThreadPoolExecutor(max(16, 4 * (os.cpu_count() or 1)), thread_name_prefix="calls")
        self.controllers = Controllers(house, routes, url)
        self.doors = self._doors()
        self._keys = Loop("keys", house.keys.refresh, 0.5)

    def start(self) -> None:
        self.controllers.start()
        self._keys.start()

    def stop(self, hurried: Callable[[], bool]) -> None:
        """End controllers, jobs and endpoints; once ``hurried`` says so jobs get no grace. Blocks until all ended."""
        self._keys.stop()
        self.controllers.stop(hurried)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.house.close()

    def _doors(self) -> tuple[Door, ...]:
        house, settings = self.house, self.house.settings
        aws = AwsDispatcher(
            services=(
                sagemaker_service(self._sagemaker()),
                sts_service(house.keys, house.roles),
                iam_service(house.roles),
                logs_service((JobLogs(house.jobs), EndpointLogs(house.deployments))),
                monitoring_service(JobMetrics(house.jobs)),
            ),
            lookup=house.keys.lookup,
            clock=house.clock,
            ids=house.ids,
            account=settings.account_id,
            executor=self._threads,
            body_limit=settings.control_body,
        )
        s3 = S3Dialect(house.artifacts, house.keys.lookup, house.clock, settings.account_id, settings.region)
        return (aws, s3)

    def _sagemaker(self) -> SageMakerServices:
        house = self.house
        return SageMakerServices(
            jobs=house.jobs,
            models=house.models,
            tags=house.tags,
            deployments=house.deployments,
            notebooks=house.notebooks,
            lifecycle_configs=house.lifecycle_configs,
            inputs=house.inputs,
            holds=Holds(house.settings.describe_hold, house.clock),
            default_role=house.settings.default_role,
            stop_grace=house.settings.stop_grace,
        )
