"""Plug-ins of other distributions: found by their entry points, served for real, named when broken."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import joblib
import pytest
from botocore.exceptions import ClientError
from sklearn.linear_model import LinearRegression

from modelyard.core.jobs.packing import packed
from modelyard.testing.server import RunningServer

from .conftest import distribute, on_path, served, toy_runner, toys

ROLE = "arn:aws:iam::000000000000:role/ModelyardRole"
BROKEN = {
    "modelyard.dialects:raises": "raising",
    "modelyard.dialects:unready": "unready",
    "modelyard.dialects:sagemaker": "toy_dialect",
    "modelyard.runners:empty": "empty",
    "modelyard.images:missing": "no_such_module",
}
BROKEN_FILES = {
    "raising/__init__.py": "raise RuntimeError('no licence')",
    "unready/__init__.py": "",
    "unready/routes.py": "from modelyard.dialects.plugin import Dialect\nDIALECT = Dialect(lambda core, _: core.no)",
    "empty/__init__.py": "",
    "empty/plugin.py": "RUNNER = 'no runner'",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that finds the toy, and broken plug-ins beside it."""
    folder = tmp_path_factory.mktemp("plugins")
    distribute(folder / "broken", "brokenware", BROKEN, BROKEN_FILES)
    found = toys(folder / "toys"), toy_runner(folder / "runner"), folder / "broken"
    with served(folder, *found, RUNNER="toy") as running:
        yield running


def train(server: RunningServer, name: str, image: str) -> Any:
    sagemaker = server.client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": "s3://toys/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    end = time.monotonic() + 60
    while time.monotonic() < end:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return job
    raise AssertionError(job)


def fetch(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def make_toy(server: RunningServer) -> str:
    """The name of a job of the kind ``toy`` that has succeeded."""
    name = f"Toy-{json.loads(fetch(f'{server.url}/toy/jobs', b'')[1])[:8]}"
    end = time.monotonic() + 60
    while ["toy", name, "succeeded"] not in (jobs := json.loads(fetch(f"{server.url}/toy/jobs")[1])):
        assert time.monotonic() < end, jobs
        time.sleep(0.05)
    return name


def model_of(server: RunningServer, job: str) -> list[str]:
    """The names in the model that a job left in the bucket toys."""
    stored = server.client("s3").get_object(Bucket="toys", Key=f"out/{job}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(stored)) as archive:
        return archive.getnames()


def test_another_runner_runs_the_jobs_of_every_door(server: RunningServer) -> None:
    server.client("s3").create_bucket(Bucket="toys")
    job = train(server, "toy-job", "toys/train:1")
    assert job["TrainingJobStatus"] == "Completed", job
    assert model_of(server, "toy-job") == ["weights"]
    logs = server.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    [stream] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="toy-job/")["logStreams"]
    [event] = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert event["message"] == "toy ran 1"
    status, body = fetch(f"{server.url}/toy/jobs")
    assert (status, json.loads(body)) == (200, [["training", "toy-job", "succeeded"]])


def test_jobs_of_another_kind_run_and_are_no_training_jobs(server: RunningServer) -> None:
    job = make_toy(server)
    with pytest.raises(ClientError, match="Requested resource not found"):
        server.client("sagemaker").describe_training_job(TrainingJobName=job)
    names = server.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert job not in [summary["TrainingJobName"] for summary in names]


def test_broken_plugins_are_each_named_once_and_stop_nothing_else(server: RunningServer) -> None:
    lines = [line for line in server.output.read_text().splitlines() if "brokenware" in line and "ERROR" in line]
    wanted = {
        "'raises'": "RuntimeError: no licence",
        "'unready'": "AttributeError: 'House' object has no attribute 'no'",
        "'sagemaker'": "Modelyard itself has one of that name",
        "'missing'": "No module named 'no_such_module'",
    }
    for name, why in wanted.items():
        [line] = [line for line in lines if f"plug-in {name}" in line]
        assert why in line and "uninstall brokenware" in line
    assert len(lines) == len(wanted)


def test_doctor_names_what_cannot_be_loaded(server: RunningServer, tmp_path: Path) -> None:
    folder = server.data_dir.parent
    with on_path(toys(tmp_path / "toys"), folder / "broken"):
        told = subprocess.run([sys.executable, "-m", "modelyard", "doctor", "--json"], capture_output=True, check=False)
    problems = {found["what"]: found["message"] for found in json.loads(told.stdout) if found["state"] == "problem"}
    assert {"plug-in raises", "plug-in sagemaker", "plug-in empty", "plug-in missing"} <= problems.keys()
    assert "plug-in toy" not in problems
    assert "brokenware" in problems["plug-in empty"]


def test_the_front_names_the_broken_ones_that_it_loads(server: RunningServer) -> None:
    log = (server.data_dir / "run" / "front.log").read_text()
    assert log.count("brokenware") == 2 * 2  # 'raises' and 'sagemaker', each with the word to uninstall it


def test_what_the_page_says_of_its_job_comes_true(tmp_path: Path) -> None:
    with served(tmp_path, toys(tmp_path / "toys")) as server:
        job = make_toy(server)
        assert model_of(server, job) == ["weights"]


def test_another_dialect_predicts_with_what_sagemaker_deployed(tmp_path: Path) -> None:
    with served(tmp_path, toys(tmp_path / "toys")) as server:
        deploy(server, "doubler")
        status, answer = fetch(f"{server.url}/toy/predict/doubler", b"1\n2\n")
        assert (status, answer.split()[0]) == (200, b"toy")
        assert [float(value) for value in answer.split()[1:]] == pytest.approx([2, 4])
        assert fetch(f"{server.url}/toy/predict/nobody", b"1\n") == (418, b"unknown_endpoint")


def deploy(server: RunningServer, name: str) -> None:
    folder = server.data_dir.parent
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), folder / "model.joblib")
    model = packed({"model.joblib": (folder / "model.joblib").read_bytes()})
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket="toys")
    s3.put_object(Bucket="toys", Key="model.tar.gz", Body=model)
    container = {"Image": "modelyard/serving:1", "ModelDataUrl": "s3://toys/model.tar.gz"}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "A", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_a_runner_that_is_not_there_ends_the_start_in_one_line(tmp_path: Path) -> None:
    distribute(tmp_path / "broken", "brokenware", BROKEN, BROKEN_FILES)
    for name, why in (
        ("kubernetes", "'kubernetes', but the runners here are process"),
        ("empty", "is no RunnerPlugin"),
    ):
        with (
            pytest.raises(RuntimeError, match=why),
            served(tmp_path, tmp_path / "broken", RUNNER=name),
        ):
            pass
