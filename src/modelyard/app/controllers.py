"""The server's controllers, composed: jobs and deployments over the place where they run, each in a loop of its own.

Owns threads and their end. Everything that decides is in core; everything that runs is in runners.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from modelyard.app.house import House
from modelyard.app.loops import JOB_PAUSE, JOB_REST, Loop
from modelyard.app.plugins import staging
from modelyard.app.sessions import JobSessions, write_authorities
from modelyard.core.artifacts.archives import extract
from modelyard.core.deployments.controller import DeploymentController
from modelyard.core.deployments.launch import Launcher, WorkerLimits
from modelyard.core.deployments.ports import Routes
from modelyard.core.deployments.staging import ModelStaging
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.controller import JobController
from modelyard.core.jobs.scheduling import Capacity


class Controllers:
    """Started once, stopped once. ``url`` is where jobs reach this server."""

    def __init__(self, house: House, routes: Routes, url: str) -> None:
        settings = house.settings
        self._house = house
        self._runner = house.place.jobs
        # Apart: jobs that build environments for minutes must not hold up an endpoint, nor endpoints a job.
        self._job_threads = ThreadPoolExecutor(16, thread_name_prefix="job")
        self._model_threads = ThreadPoolExecutor(16, thread_name_prefix="model")
        work = AttemptWork(
            runner=house.place.jobs,
            staging=staging(house.inputs, settings.account_id, house.archive_limits),
            environments=house.place.environments,
            sessions=JobSessions(house.keys, url, settings.region, _authorities(house)),
            folders=house.job_folders,
            clock=house.clock,
            capacity=capacity(settings.job_cpus, settings.job_memory),
            disk_reserve=settings.disk_reserve,
        )
        self.jobs = JobController(house.job_table, work, house.ids, house.clock, house.job_changes, self._job_threads)
        self.deployments = DeploymentController(
            table=house.deployment_table,
            pool=house.place.endpoints,
            routes=routes,
            staging=ModelStaging(house.inputs, house.place.environments, self._unpack, house.disk),
            launcher=Launcher(house.disk, WorkerLimits(memory=settings.endpoint_memory, body=settings.prediction_body)),
            executor=self._model_threads,
            clock=house.clock,
            ids=house.ids,
            changes=house.deployment_changes,
            folder=house.layout.endpoints,
            owner=house.ids.new_id(),
            load_timeout=settings.endpoint_load_timeout,
            grace=settings.prediction_timeout + 5,
        )
        self._job_loop = Loop("jobs", self.jobs.step, JOB_PAUSE, JOB_REST)
        self._deployment_loop = Loop("deployments", self.deployments.step, 0.5)
        self._sweep_loop = Loop("sweep", self._sweep, 60)
        house.job_changes.listen(self._job_loop.wake)
        house.deployment_changes.listen(self._deployment_loop.wake)

    def start(self) -> None:
        for loop in (self._job_loop, self._deployment_loop, self._sweep_loop):
            loop.start()

    def stop(self, hurried: Callable[[], bool]) -> None:
        """A clean stop: running jobs are told to end (unless a setting leaves them), endpoints leave.

        As soon as ``hurried`` says so, jobs that still run get no more grace.
        """
        for loop in (self._job_loop, self._deployment_loop, self._sweep_loop):
            loop.stop()
        if hurried() or not self._house.settings.leave_jobs_running:
            self._end_jobs(hurried)
        self.jobs.close()
        self.deployments.close(time.sleep)
        for threads in (self._job_threads, self._model_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _end_jobs(self, hurried: Callable[[], bool]) -> None:
        while not self.jobs.drain():
            self.jobs.step()
            if hurried():
                for folder in self._house.layout.jobs.glob("*/*"):
                    if self._runner.observe(folder).state == "running":
                        self._runner.stop(folder, 0)
            time.sleep(0.02)

    def _unpack(self, archive: Path, target: Path) -> None:
        with archive.open("rb") as source:
            extract(source, target, self._house.archive_limits)

    def _sweep(self) -> None:
        self._house.keys.sweep()
        self._house.artifacts.sweep()


def _authorities(house: House) -> Path | None:
    certificate = house.settings.tls_cert
    if certificate is None:
        return None
    return write_authorities(house.disk, house.layout.run / "authorities.pem", certificate)


def capacity(cpus: float | None, memory: int | None) -> Capacity:
    """What jobs may use: as set, else every processor and 80 % of the memory."""
    return Capacity(cpus or float(os.cpu_count() or 1), memory or int(psutil.virtual_memory().total * 0.8))
