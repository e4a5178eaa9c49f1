"""A real server for the end-to-end tests, and the journey that they share: upload, train, deploy."""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.testing.server import RunningServer

SCRIPTS = Path(__file__).with_name("scripts")
ROLE = "arn:aws:iam::000000000000:role/ModelyardRole"
ENDED = {"Completed", "Failed", "Stopped"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("e2e") / "data") as running:
        yield running


class Journey:
    """The calls of a user who trains a script and deploys what it leaves, with boto3 alone."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.sagemaker = server.client("sagemaker")
        self.runtime = server.client("sagemaker-runtime")
        self.s3 = server.client("s3")
        self.logs = server.client("logs")
        self.name = f"job-{uuid.uuid4().hex[:10]}"
        self.bucket = "journeys"
        self.s3.create_bucket(Bucket=self.bucket)

    def upload(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.name}/{key}", Body=body)
        return f"s3://{self.bucket}/{self.name}/{key}"

    def upload_source(self, script: str | Path, **files: str) -> str:
        """A sourcedir.tar.gz of one of our scripts' folders, or of a script's text, and further files."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            if isinstance(script, Path):
                for path in sorted(script.iterdir()):
                    archive.add(path, path.name)
            else:
                files = {"train.py": script, **{name.replace("_txt", ".txt"): text for name, text in files.items()}}
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return self.upload("sourcedir.tar.gz", packed.getvalue())

    def start_training(
        self, image: str, source: str, channels: dict[str, str] | None = None, hyper: dict[str, str] | None = None,
        **overrides: Any,
    ) -> None:  # fmt: skip
        request: dict[str, Any] = {
            "TrainingJobName": self.name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "validation:score", "Regex": r"score=([0-9.]+);"}],
            },
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": source,
                **(hyper or {}),
            },
            "InputDataConfig": [
                {
                    "ChannelName": channel,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                }
                for channel, uri in (channels or {}).items()
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/output"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        }
        if not request["InputDataConfig"]:
            del request["InputDataConfig"]
        self.sagemaker.create_training_job(**(request | overrides))

    def describe(self) -> Any:
        return self.sagemaker.describe_training_job(TrainingJobName=self.name)

    def wait(self, timeout: float = 120) -> Any:
        """The job's description once it has ended."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            job = self.describe()
            if job["TrainingJobStatus"] in ENDED:
                return job
            time.sleep(0.1)
        raise AssertionError(f"{self.name} has not ended after {timeout} s: {job}\n{self.log()}")

    def log(self) -> list[str]:
        """Every line of every host, in the order of the streams."""
        group = "/aws/sagemaker/TrainingJobs"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{self.name}/")["logStreams"]
        lines = []
        for stream in streams:
            token: dict[str, str] = {}
            while True:
                page = self.logs.get_log_events(
                    logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True, **token
                )
                if not page["events"]:
                    break
                lines += [event["message"] for event in page["events"]]
                token = {"nextToken": page["nextForwardToken"]}
        return lines

    def deploy(self, image: str, artifact: str, source: str, count: int = 1, **environment: str) -> Any:
        self.create_model(self.name, image, artifact, source, **environment)
        self.create_config(self.name, [(self.name, "AllTraffic", 1.0, count)])
        self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.name)
        return self.settled(self.name)

    def create_model(self, name: str, image: str, artifact: str, source: str, **environment: str) -> None:
        variables = {"SAGEMAKER_PROGRAM": "train.py", "SAGEMAKER_SUBMIT_DIRECTORY": source, **environment}
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": image, "ModelDataUrl": artifact, "Environment": variables},
        )

    def create_config(self, name: str, variants: list[tuple[str, str, float, int]]) -> None:
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": variant,
                    "ModelName": model,
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": count,
                    "InitialVariantWeight": weight,
                }
                for model, variant, weight, count in variants
            ],
        )

    def settled(self, name: str, timeout: float = 120) -> Any:
        """The endpoint's description once it is no longer on its way somewhere."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            endpoint = self.sagemaker.describe_endpoint(EndpointName=name)
            if endpoint["EndpointStatus"] in ("InService", "Failed"):
                return endpoint
            time.sleep(0.1)
        raise AssertionError(f"endpoint {name} is still {endpoint['EndpointStatus']} after {timeout} s")

    def invoke(self, body: bytes, content_type: str, accept: str, name: str | None = None, **extra: str) -> Any:
        return self.runtime.invoke_endpoint(
            EndpointName=name or self.name, Body=body, ContentType=content_type, Accept=accept, **extra
        )

    def delete_endpoint(self) -> None:
        self.sagemaker.delete_endpoint(EndpointName=self.name)
        self.sagemaker.delete_endpoint_config(EndpointConfigName=self.name)
        self.sagemaker.delete_model(ModelName=self.name)


@pytest.fixture
def journey(server: RunningServer) -> Journey:
    return Journey(server)
