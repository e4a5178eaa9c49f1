"""``modelyard quickstart``: the main job, from data in S3 to a prediction, through boto3 and nothing else.

Owns the story that a new user sees. Every step is a call that any AWS client could make.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
from rich.console import Console
from rich.markup import escape
from sklearn.datasets import load_iris

from modelyard.app.house import ensure_default_key
from modelyard.app.launch import LaunchedServer, launch
from modelyard.app.settings import Settings
from modelyard.base.errors import Unavailable
from modelyard.core.jobs.packing import packed

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
INTERRUPTED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


def quickstart(given: dict[str, Any], keep: bool) -> int:
    """Run it; the exit code. ``given`` are settings from the command line; ``keep`` leaves the server running."""
    settings = Settings(**given)
    console = Console(highlight=False)
    try:
        return _told(settings, _Next(given), console, keep)
    except KeyboardInterrupt:
        console.print(f"Interrupted; what it had made stays in {escape(str(settings.data_dir))}", soft_wrap=True)
        return INTERRUPTED


def _told(settings: Settings, then: _Next, console: Console, keep: bool) -> int:
    console.print(f"[bold]Modelyard[/] keeps its data in {escape(str(settings.data_dir))}", soft_wrap=True)
    server = launch(settings)
    console.print(f"{'Started' if server.started_here else 'Found'} a server at [bold]{server.url}[/]")
    try:
        story = _Story(settings, server, console, then)
        story.train()
        story.deploy()
        story.predict()
        if keep:
            story.say_how_to_go_on()
        else:
            story.tidy()
    finally:
        if server.started_here and not keep:
            server.stop()
            console.print("Stopped the server; with [bold]--keep[/] it goes on.")
    return 0


class _Next:
    """Lines to type after this command, as they work in this shell and for these settings."""

    def __init__(self, given: dict[str, Any]) -> None:
        names = [name for name in ("data_dir", "port") if name in given]
        options = {name: f" --{name.replace('_', '-')} {shlex.quote(str(given[name]))}" for name in names}
        self.where = options.get("data_dir", "")
        self.modelyard = command()
        self.serve = f"{self.modelyard} serve{''.join(options.values())}"
        self.env = f'eval "$({self.modelyard} env{self.where})"'


def command() -> str:
    """How a shell calls the ``modelyard`` that runs here: by its name where that is it, else by its path."""
    own = Path(sys.executable).with_name("modelyard")
    if not own.exists():
        return f"{shlex.quote(sys.executable)} -m modelyard"
    found = shutil.which("modelyard")
    return "modelyard" if found and Path(found).resolve() == own.resolve() else shlex.quote(str(own))


class _Story:
    def __init__(self, settings: Settings, server: LaunchedServer, console: Console, then: _Next) -> None:
        key = ensure_default_key(settings)
        self._session = boto3.Session(
            aws_access_key_id=key["access_key"], aws_secret_access_key=key["secret"], region_name=settings.region
        )
        self._url = server.url
        self._sagemaker = self._client("sagemaker")
        self._console = console
        self._then = then
        self._serves_on = not server.started_here
        self._bucket = "quickstart"
        self._name = f"iris-{uuid.uuid4().hex[:8]}"
        self._role = f"arn:aws:iam::{settings.account_id}:role/{settings.default_role}"

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._url)

    def train(self) -> None:
        s3 = self._client("s3")
        s3.create_bucket(Bucket=self._bucket)
        s3.put_object(Bucket=self._bucket, Key=f"{self._name}/data/iris.csv", Body=_iris())
        s3.put_object(Bucket=self._bucket, Key=f"{self._name}/sourcedir.tar.gz", Body=_source())
        self._say(f"Uploaded 150 flowers and a training script to s3://{self._bucket}/{self._name}")
        self._sagemaker.create_training_job(
            TrainingJobName=self._name,
            RoleArn=self._role,
            AlgorithmSpecification={
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "accuracy", "Regex": r"accuracy=([0-9.]+);"}],
            },
            HyperParameters={
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{self._bucket}/{self._name}/sourcedir.tar.gz",
                "max-iter": "200",
            },
            InputDataConfig=[
                {
                    "ChannelName": "train",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self._bucket}/{self._name}/data"}
                    },
                }
            ],
            OutputDataConfig={"S3OutputPath": f"s3://{self._bucket}/output"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        job = self._follow()
        if job["TrainingJobStatus"] != "Completed":
            raise Unavailable(what=f"training ended {job['TrainingJobStatus']}: {job.get('FailureReason', '')}")
        metrics = {metric["MetricName"]: round(metric["Value"], 4) for metric in job["FinalMetricDataList"]}
        self._say(f"Training [green]Completed[/]: {metrics}, model at {job['ModelArtifacts']['S3ModelArtifacts']}")
        self._artifact = job["ModelArtifacts"]["S3ModelArtifacts"]

    def _follow(self) -> Any:
        """Show log lines as they come, and what the job is busy with, until it ends; its description.

        The server holds a Describe open while the job goes on, so it is asked in a thread beside the log.
        """
        lines = self._lines()
        with ThreadPoolExecutor(1) as beside:
            while True:
                asked = beside.submit(self._sagemaker.describe_training_job, TrainingJobName=self._name)
                while not asked.done():
                    self._show(lines)
                    time.sleep(0.1)
                job = asked.result()
                if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                    self._show(lines)
                    phases = " > ".join(entry["Status"] for entry in job["SecondaryStatusTransitions"])
                    self._console.print(f"  [cyan]{phases}[/]")
                    return job

    def _show(self, lines: Iterator[str | None]) -> None:
        while (line := next(lines)) is not None:
            self._console.print(f"  [dim]|[/] {escape(line)}", soft_wrap=True)

    def _lines(self) -> Iterator[str | None]:
        """The job's log line by line; None where there is no more for now."""
        logs, group = self._client("logs"), "/aws/sagemaker/TrainingJobs"
        token: dict[str, str] = {}
        stream = ""
        while True:
            if not stream:
                found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{self._name}/")
                stream = next((one["logStreamName"] for one in found["logStreams"]), "")
            if stream:
                page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
                token = {"nextToken": page["nextForwardToken"]}
                yield from (event["message"] for event in page["events"])
            yield None

    def deploy(self) -> None:
        self._sagemaker.create_model(
            ModelName=self._name,
            ExecutionRoleArn=self._role,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": self._artifact,
                "Environment": {
                    "SAGEMAKER_PROGRAM": "train.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{self._bucket}/{self._name}/sourcedir.tar.gz",
                },
            },
        )
        variant = {"VariantName": "AllTraffic", "ModelName": self._name, "InstanceType": "ml.m5.large"}
        self._sagemaker.create_endpoint_config(
            EndpointConfigName=self._name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        self._sagemaker.create_endpoint(EndpointName=self._name, EndpointConfigName=self._name)
        while (endpoint := self._sagemaker.describe_endpoint(EndpointName=self._name))["EndpointStatus"] == "Creating":
            time.sleep(0.2)
        if endpoint["EndpointStatus"] != "InService":
            raise Unavailable(what=f"the endpoint is {endpoint['EndpointStatus']}: {endpoint.get('FailureReason', '')}")
        self._say(f"Endpoint [bold]{self._name}[/] is [green]InService[/]")

    def predict(self) -> None:
        answer = self._client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self._name, ContentType="application/json", Accept="application/json", Body=json.dumps(FLOWERS)
        )
        predicted = json.loads(answer["Body"].read())
        for flower, species in zip(FLOWERS, predicted, strict=True):
            self._say(f"  {flower} -> [bold]{species}[/]")
        path = f"/endpoints/{self._name}/invocations"
        self._say(f"Predicted by boto3's invoke_endpoint: POST {path}, signed (unsigned it is refused)")

    def tidy(self) -> None:
        self._sagemaker.delete_endpoint(EndpointName=self._name)
        self._sagemaker.delete_endpoint_config(EndpointConfigName=self._name)
        self._sagemaker.delete_model(ModelName=self._name)
        serve = "" if self._serves_on else f"[bold]{escape(self._then.serve)}[/], then "
        self._say(f"Try next: {serve}[bold]{escape(self._then.env)}[/] and your own boto3 script.")

    def say_how_to_go_on(self) -> None:
        modelyard, where = self._then.modelyard, self._then.where
        lines = (
            f"The server goes on at {self._url}. Try next:",
            f"  {modelyard} logs {self._name}{where}",
            f"  {modelyard} endpoints list{where}",
            f"  {self._then.env} && aws sagemaker list-training-jobs",
        )
        self._say(escape("\n".join(lines)))


def _iris() -> bytes:
    iris = load_iris()
    table = pd.DataFrame(iris.data, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"])
    table["species"] = iris.target_names[iris.target]
    return table.to_csv(index=False).encode()


def _source() -> bytes:
    return packed({"train.py": resources.files("modelyard.app.example").joinpath("train.py").read_bytes()})
