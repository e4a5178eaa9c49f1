"""The server's loops, composed: what keeps one noun's work waiting holds up nothing of the other's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from modelyard.app.controllers import Controllers
from modelyard.app.house import open_house
from modelyard.app.settings import Settings
from modelyard.core.deployments.model import EndpointState, NewConfig, Variant
from modelyard.core.deployments.runners import Place
from modelyard.core.jobs.model import JobSpec, NewJob, Resources
from modelyard.core.models.model import ModelContainer, NewModel
from modelyard.testing.fake_jobs import FakeEnvironments
from modelyard.testing.fake_runner import FakeRunner
from tests.unit.core.deployments.world import FakePool, FakeRoutes

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
CODE = {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
SPEC = JobSpec(IMAGE, Resources("ml.m5.large", cpus=0.01, memory=1 << 20), entrypoint=("/bin/true",))


class SlowForJobs(FakeEnvironments):
    """Builds the environments of jobs until it is told to end, and those of endpoints at once."""

    def __init__(self) -> None:
        super().__init__()
        self.building = 0
        self.ending = threading.Event()

    def prepare(self, environment: str, requirements: Path | None, log: Path) -> Path:
        if "jobs" in log.parts:
            self.building += 1
            self.ending.wait(60)
        return self.interpreter


def test_jobs_that_build_environments_for_long_hold_up_no_endpoint(tmp_path: Path) -> None:
    house = open_house(Settings(data_dir=tmp_path, job_cpus=64, job_memory=1 << 40))
    environments, pool = SlowForJobs(), FakePool()
    house = replace(house, place=Place(FakeRunner(house.clock), pool, environments))
    controllers = Controllers(house, FakeRoutes(), "http://127.0.0.1:1")
    for number in range(40):
        house.jobs.create(NewJob("training", "sagemaker", "us-east-1", SPEC, {}, name=f"job-{number}"))
    controllers.start()
    try:
        _until(lambda: environments.building >= 8)
        house.models.create(NewModel("sagemaker", "us-east-1", (ModelContainer(IMAGE, None, CODE),), {}, "m"))
        house.deployments.create_config(NewConfig("c", "sagemaker", "us-east-1", (Variant("A", "m"),)))
        house.deployments.create("e", "c", "sagemaker", "us-east-1", {})
        _until(lambda: house.deployments.get("e").state is EndpointState.SERVING)
        assert not environments.ending.is_set()
    finally:
        environments.ending.set()
        controllers.stop(lambda: True)
        house.close()


def _until(done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
