"""Endpoints through boto3 and a real server: hooks, formats, failures, updates and restarts."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from modelyard.testing.server import RunningServer

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/ModelyardRole"
QUIET = Config(retries={"max_attempts": 0, "mode": "standard"}, read_timeout=60)


def answering(text: str) -> str:
    return f"def model_fn(d): return 0\ndef predict_fn(data, model): return [{text!r}]\n"


class Serving:
    """The calls of a user who deploys hooks."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.sagemaker = server.client("sagemaker")
        self.runtime = server.client("sagemaker-runtime", config=QUIET)
        self.logs = server.client("logs")
        self.s3 = server.client("s3")
        self.s3.create_bucket(Bucket="serving")
        self.name = f"e-{uuid.uuid4().hex[:8]}"

    def variant(self, model: bytes, source: bytes | None, letter: str = "A", weight: float = 1.0) -> dict[str, Any]:
        """A variant of a new model, of these archives of weights and of code."""
        name, variables = f"{self.name}-{uuid.uuid4().hex[:6]}", {}
        self.s3.put_object(Bucket="serving", Key=f"{name}/model.tar.gz", Body=model)
        if source is not None:
            self.s3.put_object(Bucket="serving", Key=f"{name}/source.tar.gz", Body=source)
            variables = {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://serving/{name}/source.tar.gz",
            }
        container = {"Image": SKLEARN, "ModelDataUrl": f"s3://serving/{name}/model.tar.gz", "Environment": variables}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {"VariantName": letter, "ModelName": name, "InstanceType": "ml.m5.large"}
        return {**variant, "InitialInstanceCount": 1, "InitialVariantWeight": weight}

    def config_of(self, *variants: dict[str, Any]) -> str:
        """A configuration of these variants."""
        name = f"{self.name}-{uuid.uuid4().hex[:6]}"
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants))
        return name

    def config(self, *hooks: str, weights: tuple[float, ...] = (1.0,)) -> str:
        """A configuration with one variant (A, B, ...) for each hooks' text."""
        archives = [(_archive(weights="none"), _archive(**{"inference.py": text})) for text in hooks]
        three = zip(archives, "ABC", weights, strict=False)
        return self.config_of(*(self.variant(*pair, letter, weight) for pair, letter, weight in three))

    def deploy_config(self, config: str) -> dict[str, Any]:
        """The settled endpoint of that configuration."""
        self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=config)
        return self.settled()

    def deploy(self, *hooks: str, weights: tuple[float, ...] = (1.0,)) -> dict[str, Any]:
        return self.deploy_config(self.config(*hooks, weights=weights))

    def settled(self) -> dict[str, Any]:
        return self.until(lambda seen: seen["EndpointStatus"] in ("InService", "Failed"))

    def until(self, done: Callable[[dict[str, Any]], bool], timeout: float = 90) -> dict[str, Any]:
        end = time.monotonic() + timeout
        while True:
            seen: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=self.name)
            if done(seen):
                return seen
            assert time.monotonic() < end, seen
            time.sleep(0.05)

    def ask(self, body: bytes = b"[1]", **request: Any) -> Any:
        answer = self.runtime.invoke_endpoint(
            EndpointName=self.name, ContentType="application/json", Body=body, **request
        )
        return json.loads(answer["Body"].read())

    def refused(self, **request: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as caught:
            self.ask(**request)
        response: dict[str, Any] = caught.value.response
        return response


def _archive(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class Client(threading.Thread):
    """Asks one after the other until it is told to end; keeps every answer and every failure."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(daemon=True)
        self.answers: list[Any] = []
        self.failures: list[str] = []
        self._ending = threading.Event()
        self._ask = serving.ask

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self.answers += self._ask()
            except Exception as error:  # noqa: BLE001 - whatever a user would see counts
                self.failures.append(repr(error))

    def end(self) -> None:
        self._ending.set()
        self.join(60)


@pytest.fixture
def serving(server: RunningServer) -> Iterator[Serving]:
    made = Serving(server)
    yield made
    for act in (made.sagemaker.delete_endpoint,):
        try:
            act(EndpointName=made.name)
        except ClientError:
            continue


def test_a_hooks_failure_is_a_model_error_with_its_log(serving: Serving) -> None:
    hooks = "def model_fn(d): return 0\ndef predict_fn(data, model): raise KeyError('petals')\n"
    serving.deploy(hooks)
    response = serving.refused()
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (response["Error"]["Code"], response["OriginalStatusCode"]) == ("ModelError", 500)
    assert response["OriginalMessage"] == "KeyError: 'petals'"
    group, _, stream = response["LogStreamArn"].partition(":log-group:")[2].partition(":log-stream:")
    events = serving.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert any("raise KeyError('petals')" in event["message"] for event in events)
    assert stream.startswith("A/")


def test_an_unknown_endpoint_and_variant_are_named(serving: Serving) -> None:
    unknown = serving.refused()
    assert unknown["Error"]["Code"] == "ValidationError"
    assert unknown["Error"]["Message"] == f"Endpoint {serving.name} of account 000000000000 not found."
    serving.deploy(answering("x"))
    assert serving.refused(TargetVariant="Z")["Error"]["Code"] == "ValidationError"


def test_a_failing_model_fn_ends_in_failed_with_what_it_raised(serving: Serving) -> None:
    seen = serving.deploy("def model_fn(d): raise RuntimeError('no weights here')\n")
    assert seen["EndpointStatus"] == "Failed"
    assert 'RuntimeError: no weights here (File "/opt/ml/' in seen["FailureReason"]
    assert serving.refused()["Error"]["Code"] in ("ServiceUnavailable", "ValidationError")
    with pytest.raises(ClientError, match="ValidationException"):
        serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=serving.config(answering("x")))


def test_weights_share_requests_and_targets_pick(serving: Serving) -> None:
    serving.deploy(answering("a"), answering("b"), weights=(3, 1))
    answers = [serving.ask()[0] for _ in range(80)]
    assert abs(answers.count("a") - 60) <= 2
    assert serving.ask(TargetVariant="B") == ["b"]
    desired = [{"VariantName": "A", "DesiredWeight": 0}, {"VariantName": "B", "DesiredWeight": 1}]
    serving.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=serving.name, DesiredWeightsAndCapacities=desired
    )
    serving.settled()
    assert {serving.ask()[0] for _ in range(20)} == {"b"}


def test_an_update_loses_no_request_and_a_failing_one_rolls_back(serving: Serving) -> None:
    serving.deploy(answering("old"))
    clients = [Client(serving) for _ in range(3)]
    for client in clients:
        client.start()
    serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=serving.config(answering("new")))
    serving.settled()
    bad = serving.config("import nothing_like_it\n")
    serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=bad)
    seen = serving.until(lambda seen: seen["EndpointStatus"] == "InService")
    capacities = [{"VariantName": "A", "DesiredInstanceCount": 3}]
    serving.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=serving.name, DesiredWeightsAndCapacities=capacities
    )
    more = serving.settled()
    for client in clients:
        client.end()
    assert [client.failures for client in clients] == [[], [], []]
    assert {answer for client in clients for answer in client.answers} == {"old", "new"}
    assert seen["EndpointConfigName"] != bad
    assert more["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert serving.ask() == ["new"]


def test_predictions_go_on_while_the_server_is_dead_and_after(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        serving = Serving(server)
        serving.deploy(answering("here"))
        client = Client(serving)
        client.start()
        server.kill()
        before = len(client.answers)
        time.sleep(1.0)
        assert len(client.answers) > before
        server.start()
        serving.until(lambda seen: seen["EndpointStatus"] == "InService")
        time.sleep(1.0)
        client.end()
        assert client.failures == []
        server.stop()
        server.start()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                assert serving.ask() == ["here"]
                break
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ServiceUnavailable"
                time.sleep(0.05)


def test_a_prediction_that_hangs_is_named_and_its_worker_replaced(tmp_path: Path) -> None:
    hooks = """
import time

def model_fn(d): return 0

def predict_fn(data, model):
    if len(data) == 3:
        time.sleep(1000)
    return ["here"]
"""
    with RunningServer(tmp_path / "data", settings={"PREDICTION_TIMEOUT": "1.5"}) as server:
        serving = Serving(server)
        serving.deploy(hooks)
        assert serving.ask() == ["here"]
        response = serving.refused(body=b"[1, 2, 3]")
        assert response["Error"]["Code"] == "ModelError"
        assert "1.5" in response["OriginalMessage"]
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                assert serving.ask() == ["here"]
                return
            except ClientError:
                time.sleep(0.1)
        raise AssertionError("the worker was not replaced")
