"""kill -9 of the server, the front or both at random points of train-and-deploy flows.

The law: what was acknowledged exists once and ends right; nothing runs that nobody owns.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from modelyard.core.jobs.packing import packed
from modelyard.testing.server import RunningServer

KILLS = 50
SEED = 20261121
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/ModelyardRole"
SCRIPT = """
import os, time

def model_fn(model_dir):
    return int(open(model_dir + '/model.txt').read())

def transform_fn(model, body, content_type, accept):
    return str(model * int(body)), 'text/plain'

if __name__ == '__main__':
    print('began', flush=True)
    time.sleep(0.5)
    open(os.environ['SM_MODEL_DIR'] + '/model.txt', 'w').write('6')
    print('done', flush=True)
"""
QUICK = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=15)


class Flows:
    """Users who go on whatever happens, and remember what the server acknowledged."""

    def __init__(self, server: RunningServer) -> None:
        self._clients = {name: server.client(name, config=QUICK) for name in ("s3", "sagemaker", "sagemaker-runtime")}
        self.objects: dict[str, bytes] = {}
        self.jobs: set[str] = set()
        self.models: set[str] = set()
        self.endpoints: set[str] = set()
        self.asked_to_go: set[str] = set()
        """Endpoints whose deletion was sent, whether an answer came or not."""
        self.deleted: set[str] = set()
        """Those of them whose deletion was acknowledged."""
        self.predictions = 0
        self.wrong: list[str] = []
        self.refusals: list[str] = []
        self._stop = threading.Event()

    def run(self, number: int) -> None:
        turn, chance = 0, random.Random(f"{SEED} {number}")
        while not self._stop.is_set():
            turn += 1
            self._flow(f"flow-{number}-{turn}", keeps=chance.random() < 0.2)

    def stop(self) -> None:
        self._stop.set()

    def _try(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except (BotoCoreError, ClientError) as error:
            self.refusals.append(str(error)[:300])
        time.sleep(0.05)
        return None

    def _flow(self, name: str, keeps: bool) -> None:
        s3, sagemaker = self._clients["s3"], self._clients["sagemaker"]
        source = packed({"train.py": SCRIPT.encode()})
        if self._try(lambda: s3.put_object(Bucket="flows", Key=f"{name}.tar.gz", Body=source)) is None:
            return
        self.objects[f"{name}.tar.gz"] = source
        if self._try(lambda: sagemaker.create_training_job(**training(name))) is None:
            return
        self.jobs.add(name)
        job = self._until(lambda: sagemaker.describe_training_job(TrainingJobName=name), "TrainingJobStatus")
        if job is None or job["TrainingJobStatus"] != "Completed":
            return
        artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
        if self._try(lambda: sagemaker.create_model(**model(name, artifact))) is None:
            return
        self.models.add(name)
        variant = {"VariantName": "A", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self._try(lambda: sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant]))
        made = self._try(lambda: sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name))
        if made is None:
            return
        self.endpoints.add(name)
        self._until(lambda: sagemaker.describe_endpoint(EndpointName=name), "EndpointStatus")
        for value in (1, 7):
            self._ask(name, value)
        if not keeps:
            self.asked_to_go.add(name)
            if self._try(lambda: sagemaker.delete_endpoint(EndpointName=name)) is not None:
                self.deleted.add(name)

    def _ask(self, name: str, value: int) -> None:
        answer = self._try(lambda: self._predicted(name, value))
        if answer is not None:
            self.predictions += 1
            if answer != str(6 * value).encode():
                self.wrong.append(f"{name}: 6 x {value} = {answer!r}")

    def _predicted(self, name: str, value: int) -> bytes:
        body: bytes = (
            self._clients["sagemaker-runtime"].invoke_endpoint(EndpointName=name, Body=f"{value}")["Body"].read()
        )
        return body

    def _until(self, describe: Callable[[], Any], member: str) -> Any:
        while not self._stop.is_set():
            found = self._try(describe)
            if found is not None and member not in found:
                self.wrong.append(f"an answer without {member}: {found}")
            elif found is not None and found[member] not in ("InProgress", "Stopping", "Creating"):
                return found
            time.sleep(0.05)
        return None


def training(name: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://flows/{name}.tar.gz",
        },
        "OutputDataConfig": {"S3OutputPath": "s3://flows/output"},
        "ResourceConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 120},
    }


def model(name: str, artifact: str) -> dict[str, Any]:
    variables = {"SAGEMAKER_PROGRAM": "train.py", "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://flows/{name}.tar.gz"}
    container = {"Image": IMAGE, "ModelDataUrl": artifact, "Environment": variables}
    return {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}


@pytest.mark.fault
@pytest.mark.timeout(1200)
def test_fifty_kills_lose_nothing_and_run_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    server = RunningServer(tmp_path / "data", settings={"DESCRIBE_HOLD": "0.5"}).start()
    server.client("s3").create_bucket(Bucket="flows")
    flows = Flows(server)
    threads = [threading.Thread(target=flows.run, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 2.5))
        victims = chance.choice((("server",), ("front",), ("server", "front"), ("front", "server")))
        for victim in victims:
            kill(server, victim)
        if "server" in victims:
            server.start()
        else:
            server.wait_ready(10)
    time.sleep(2)
    flows.stop()
    for thread in threads:
        thread.join(60)
    try:
        check(server, flows)
    finally:
        assert server.stop() == 0, server.log()
    time.sleep(1)
    assert orphans(tmp_path) == []


def kill(server: RunningServer, victim: str) -> None:
    if victim == "server":
        server.kill()
        return
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((server.data_dir / "run" / "front.pid").read_text()), signal.SIGKILL)


def check(server: RunningServer, flows: Flows) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    assert not flows.wrong, "\n".join(flows.wrong)
    assert len(flows.jobs) >= 5, "too little happened between the kills for this to mean anything"
    assert flows.predictions, f"no prediction was answered; the last refusals: {flows.refusals[-5:]}"
    for key, content in flows.objects.items():
        assert s3.get_object(Bucket="flows", Key=key)["Body"].read() == content
    pages = sagemaker.get_paginator("list_training_jobs").paginate()
    listed = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    assert len(listed) == len(set(listed))
    assert flows.jobs <= set(listed)
    for name in flows.jobs:
        assert ended(sagemaker, name)["TrainingJobStatus"] == "Completed", sagemaker.describe_training_job(
            TrainingJobName=name
        )
        assert runs(server, name) == ["began", "done"], f"{name} ran more than once"
    for name in flows.models:
        sagemaker.describe_model(ModelName=name)
    for name in flows.endpoints - flows.asked_to_go:
        assert settled(sagemaker, name) == "InService", name
    for name in flows.asked_to_go - flows.deleted:
        # Nobody knows whether the server heard of it; it is whole or going, nothing between.
        assert settled(sagemaker, name) in ("InService", "Deleting", None), name
    for name in flows.deleted:
        assert settled(sagemaker, name) in ("Deleting", None), name


def ended(sagemaker: Any, name: str) -> Any:
    for _ in range(600):
        job = sagemaker.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return job
        time.sleep(0.1)
    return job


def settled(sagemaker: Any, name: str) -> str | None:
    """The endpoint's status once it rests; None when there is no such endpoint."""
    status = None
    for _ in range(600):
        try:
            status = sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
            return None
        if status not in ("Creating", "Updating"):
            return status
        time.sleep(0.1)
    return status


def runs(server: RunningServer, name: str) -> list[str]:
    logs, group, said = server.client("logs"), "/aws/sagemaker/TrainingJobs", []
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]:
        page = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)
        said += [event["message"] for event in page["events"] if event["message"] in ("began", "done")]
    return said


def orphans(folder: Path) -> list[str]:
    """Command lines of processes that work in ``folder`` though nobody should."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                opened = [str(link.readlink()) for link in (entry / "fd").iterdir()]
                if str(folder) in line or any(str(folder) in target for target in opened):
                    found.append(json.dumps([entry.name, line]))
    return found
