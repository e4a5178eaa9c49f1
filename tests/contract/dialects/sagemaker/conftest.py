"""The SageMaker door over real services and a real database, behind a real TCP server, asked by boto3.

Nothing runs jobs or workers here: ``Controllers`` writes what they would, through the same tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from modelyard.app.house import House, default_key, open_house
from modelyard.app.settings import Settings
from modelyard.base.ids import RandomIds
from modelyard.core.deployments.model import Endpoint, EndpointState
from modelyard.core.jobs.model import Job, JobState, Phase
from modelyard.core.jobs.table import AttemptRecord, Change, Claim, Result
from modelyard.core.notebooks.model import NotebookState
from modelyard.dialects.sagemaker.routes import sagemaker_service
from modelyard.dialects.sagemaker.services import services_of
from modelyard.stores.sql.notebooks import SqlNotebookTable
from modelyard.testing.job_table_kit import moved
from tests.contract.dialects.sagemaker.serving import serve

ACCOUNT = "123456789012"
REGION = "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/Tester"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
HOLD = 2.0
"""Seconds for which ``patient`` holds a first Describe; other houses hold it hardly at all."""


class Controllers:
    """Moves jobs, endpoints and notebooks as their controllers would."""

    def __init__(self, house: House) -> None:
        self._house = house

    def run_job(self, name: str) -> Claim:
        """queued -> running."""
        job, table = self._house.jobs.get(name), self._house.job_table
        [claim] = table.admit("test", 60, 1000, lambda waiting, active: {job.id}, "Starting")
        now = self._house.clock.now()
        begin = AttemptRecord(RandomIds().new_id(), 1, int(now), now)
        change = Change(False, JobState.STARTING, Phase.DOWNLOADING, "Downloading input data", begin=begin)
        claim = moved(table, claim.lease, change)
        change = Change(False, JobState.RUNNING, Phase.TRAINING, "Training image", started=now)
        return moved(table, claim.lease, change)

    def end_job(self, claim: Claim, state: JobState, phase: Phase, result: Result) -> Job:
        job = self._house.jobs.get(claim.job.id)
        change = Change(job.stop_requested, state, phase, "ended", end="exited", result=result)
        return moved(self._house.job_table, claim.lease, change).job

    def complete_job(self, name: str, **result: Any) -> Job:
        return self.end_job(self.run_job(name), JobState.SUCCEEDED, Phase.COMPLETED, Result(exit_code=0, **result))

    def fail_job(self, name: str, reason: str) -> Job:
        result = Result(failure_reason=reason, exit_code=1)
        return self.end_job(self.run_job(name), JobState.FAILED, Phase.FAILED, result)

    def put_endpoint(self, name: str, state: EndpointState, **changes: Any) -> Endpoint:
        endpoint = self._house.deployments.get(name)
        return self._house.deployment_table.write(replace(endpoint, state=state, **changes))

    def serve_endpoint(self, name: str) -> Endpoint:
        return self.put_endpoint(name, EndpointState.SERVING, plan=self._house.deployments.get(name).target)

    def remove_endpoint(self, name: str) -> None:
        table, endpoint = self._house.deployment_table, self._house.deployments.get(name)
        lease = table.claim(endpoint.id, "test", 60)
        assert lease is not None
        table.remove(self._house.deployments.get(name), lease)

    def put_notebook(self, name: str, state: NotebookState) -> None:
        table, notebook = SqlNotebookTable(self._house.database), self._house.notebooks.get(name)
        assert table.replace(replace(notebook, state=state, failure_reason=None), seen=notebook.state)


@dataclass(frozen=True, slots=True)
class Bench:
    """One house, its door and its clients."""

    house: House
    url: str
    key: dict[str, str]
    sm: Any
    """boto3's client; ``raw`` is one that checks nothing itself."""
    raw: Any
    controllers: Controllers


def client(url: str, key: dict[str, str], region: str = REGION, check: bool = True) -> Any:
    return boto3.client(
        "sagemaker",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key["access_key"],
        aws_secret_access_key=key["secret"],
        config=Config(parameter_validation=check, retries={"total_max_attempts": 1}),
    )


@contextmanager
def open_bench(folder: Path, hold: float = 0.05) -> Iterator[Bench]:
    settings = Settings(data_dir=folder / "data", account_id=ACCOUNT, region="us-east-1", describe_hold=hold)
    house = open_house(settings)
    key = default_key(house)
    with serve([sagemaker_service(services_of(house))], house.keys.lookup, ACCOUNT) as served:
        sm, raw = client(served.url, key), client(served.url, key, check=False)
        yield Bench(house, served.url, key, sm, raw, Controllers(house))
    house.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty house of the test's own."""
    with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Bench]:
    """As ``bench``, and its first Describe waits as long as a client would notice."""
    with open_bench(tmp_path, HOLD) as opened:
        yield opened


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A house that a module's tests share because none of them makes anything: all its requests are refused."""
    with open_bench(tmp_path_factory.mktemp("untouched")) as opened:
        put_object(opened.house, "inputs", "iris/a.csv")
        yield opened


def put_object(house: House, bucket: str, key: str, data: bytes = b"1,2,3\n") -> None:
    house.artifacts.ensure_bucket(bucket, REGION)
    with house.artifacts.put(bucket, key, size=len(data)) as writer:
        writer.write(data)
        writer.commit()


def training_request(name: str, **changes: Any) -> dict[str, Any]:
    """A request for a job without inputs, and members to add or replace; None leaves one out."""
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://results/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return {member: value for member, value in (request | changes).items() if value is not None}


def model_request(name: str, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "ModelName": name,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://results/model.tar.gz", "Environment": {"A": "1"}},
        "ExecutionRoleArn": ROLE,
    }
    return {member: value for member, value in (request | changes).items() if value is not None}


def variant(model: str, name: str = "AllTraffic", **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    return {member: value for member, value in (request | changes).items() if value is not None}
