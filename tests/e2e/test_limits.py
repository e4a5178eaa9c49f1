"""Every row of the limits table that the front and the doors hold, through a real server with small settings.

What each default is stands in DEFAULTS, compared with the settings.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from modelyard.app.settings import Settings
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.artifacts.writing import WriteLimits
from modelyard.edge.limits import FrontLimits
from modelyard.testing.server import RunningServer
from tests.contract.edge.harness import Raw, until
from tests.e2e import wire
from tests.e2e.test_serving import Serving, answering

MB, GB = 1 << 20, 1 << 30
DEFAULTS = {
    "request_head": 64 << 10, "head_timeout": 10, "body_idle_timeout": 30, "keepalive_timeout": 75,
    "max_connections": 10_000, "control_body": 5 * MB, "prediction_body": 25 * MB, "prediction_timeout": 60,
    "queue_requests": 1024, "queue_bytes": 64 * MB, "object_size": 5 * GB, "disk_reserve": GB,
    "archive_members": 100_000, "archive_bytes": 20 * GB, "archive_ratio": 200, "archive_ratio_from": 100 * MB,
    "package_indexes": (), "job_log": GB, "job_processes": 1024, "job_memory": None, "allowed_hosts": (),
    "cors_origins": (), "anonymous": None, "host": "127.0.0.1",
}  # fmt: skip
ONCE = Config(retries={"max_attempts": 0, "mode": "standard"}, read_timeout=60, max_pool_connections=64)
GET = wire.head("GET", "/", {})


def test_every_limit_has_the_default_of_the_table() -> None:
    fields = Settings.model_fields
    assert {name: fields[name].default for name in DEFAULTS} == DEFAULTS
    front = FrontLimits()
    assert all(getattr(front, name) == DEFAULTS[name] for name in FrontLimits.__dataclass_fields__)
    assert WriteLimits().size == DEFAULTS["object_size"]
    assert (ArchiveLimits().members, ArchiveLimits().ratio) == (100_000, 200)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that waits and holds little."""
    settings = {
        "REQUEST_HEAD": "8192", "HEAD_TIMEOUT": "1", "BODY_IDLE_TIMEOUT": "1.5", "KEEPALIVE_TIMEOUT": "3",
        "MAX_CONNECTIONS": "12",
    }  # fmt: skip
    with RunningServer(tmp_path_factory.mktemp("narrow") / "data", settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes little."""
    settings = {
        "CONTROL_BODY": "5000", "OBJECT_SIZE": "200000", "PREDICTION_BODY": "100000", "PREDICTION_TIMEOUT": "4",
        "QUEUE_REQUESTS": "3", "QUEUE_BYTES": "250000",
    }  # fmt: skip
    with RunningServer(tmp_path_factory.mktemp("small") / "data", settings=settings) as running:
        yield running


# The request's head, times and connections


@pytest.mark.parametrize("service", ["s3", "sagemaker", "sts", "sagemaker-runtime"])
def test_a_head_past_the_limit_is_431_in_the_apis_form(narrow: RunningServer, service: str) -> None:
    client = narrow.client(service, config=ONCE)
    client.meta.events.register("before-sign", lambda request, **_: request.headers.add_header("X-Long", "x" * 9000))
    calls = {"s3": "list_buckets", "sagemaker": "list_models", "sts": "get_caller_identity"}
    with pytest.raises(ClientError) as caught:
        if service == "sagemaker-runtime":
            client.invoke_endpoint(EndpointName="any", Body=b"1")
        else:
            getattr(client, calls[service])()
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 431
    expected = "RequestHeaderSectionTooLarge" if service == "s3" else "ValidationException"
    assert (response["Error"]["Code"], "head" in response["Error"]["Message"]) == (expected, True)


def test_an_endless_head_is_431_and_closed(narrow: RunningServer) -> None:
    with wire.connect(narrow) as raw:
        raw.send(wire.head("GET", "/" + "a" * 9000, {})[:-2])
        assert raw.read().status == 431
        raw.sock.shutdown(socket.SHUT_WR)
        assert raw.is_closed()


def closed_after(raw: Raw) -> float:
    began = time.monotonic()
    assert raw.is_closed(10)
    return time.monotonic() - began


def test_a_head_a_body_and_an_idle_connection_have_their_times(narrow: RunningServer) -> None:
    with wire.connect(narrow) as silent, wire.connect(narrow) as head, wire.connect(narrow) as body:
        head.send(GET[:20])
        body.send(wire.head("POST", "/", {"Content-Length": 10, "X-Amz-Target": "SageMaker.ListModels"}) + b"abc")
        with wire.connect(narrow) as idle:
            idle.send(GET)
            assert idle.read().status in (403, 404)
            assert closed_after(silent) < 2.5
            assert closed_after(head) < 1
            assert closed_after(body) < 2
            assert not idle.is_closed(0.3)
            assert closed_after(idle) < 3.5
    assert narrow.healthy()


def test_the_newest_connection_past_the_cap_is_503(narrow: RunningServer) -> None:
    kept = [wire.connect(narrow) for _ in range(12)]
    try:
        for raw in kept:  # each has its head at once: a second of silence would close it
            raw.send(GET)
        assert {raw.read().status for raw in kept} <= {403, 404}
        with wire.connect(narrow) as late:
            answered = late.read()
            assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        kept[0].send(GET)
        assert kept[0].read().status in (403, 404)
    finally:
        for raw in kept:
            raw.sock.close()
    until(narrow.healthy)


# Bodies of calls


def test_a_calls_body_past_the_limit_is_413_in_the_apis_form(small: RunningServer) -> None:
    parameters = {f"p{number}": "x" * 250 for number in range(40)}
    with pytest.raises(ClientError) as json_error:
        small.client("sagemaker", config=ONCE).create_model(
            ModelName="large", ExecutionRoleArn="arn:aws:iam::000000000000:role/R",
            PrimaryContainer={"Image": "x", "Environment": parameters},
        )  # fmt: skip
    with pytest.raises(ClientError) as xml_error:
        small.client("iam", config=ONCE).create_role(RoleName="r", AssumeRolePolicyDocument="x" * 6000)
    with pytest.raises(ClientError) as logs_error:
        small.client("logs", config=ONCE).filter_log_events(logGroupName="/g", filterPattern="x" * 6000)
    for caught in (json_error, xml_error, logs_error):
        response = caught.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
        assert response["Error"]["Code"] == "RequestEntityTooLargeException"
        assert "5000 bytes" in response["Error"]["Message"]
    assert small.client("sagemaker").list_models()["Models"] == []


def test_a_body_of_unknown_length_is_cut_at_the_limit(small: RunningServer) -> None:
    about = {"X-Amz-Target": "SageMaker.ListModels", "Transfer-Encoding": "chunked"}
    with wire.connect(small) as raw:
        raw.send(wire.head("POST", "/", about))
        for _ in range(7):
            raw.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert raw.read().status == 413


def test_an_object_and_a_part_past_the_limit_are_entity_too_large(small: RunningServer) -> None:
    s3 = small.client("s3", config=ONCE)
    s3.create_bucket(Bucket="sizes")
    s3.put_object(Bucket="sizes", Key="fits", Body=b"x" * 200_000)
    upload = s3.create_multipart_upload(Bucket="sizes", Key="parts")["UploadId"]
    for act in (
        lambda: s3.put_object(Bucket="sizes", Key="k", Body=b"x" * 200_001),
        lambda: s3.upload_part(Bucket="sizes", Key="parts", UploadId=upload, PartNumber=1, Body=b"x" * 200_001),
    ):
        with pytest.raises(ClientError) as caught:
            act()
        assert caught.value.response["Error"]["Code"] == "EntityTooLarge"
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="sizes")["Contents"]] == ["fits"]
    assert "Parts" not in s3.list_parts(Bucket="sizes", Key="parts", UploadId=upload)
    assert len(blobs(small)) == 1


def blobs(server: RunningServer) -> list[Path]:
    return [path for path in (server.data_dir / "blobs").rglob("*") if path.is_file()]


def test_no_room_is_507_before_anything_is_written(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data")
    with server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="room")
        s3.put_object(Bucket="room", Key="before", Body=b"x" * 50_000)
        before = blobs(server)
    with RunningServer(tmp_path / "data", settings={"DISK_RESERVE": str(1 << 60)}) as full:
        s3 = full.client("s3", config=ONCE)
        for size in (10, 50_000, 3_000_000):
            with pytest.raises(ClientError) as caught:
                s3.put_object(Bucket="room", Key=f"k{size}", Body=b"x" * size)
            error = caught.value.response
            seen = error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]
            assert seen == ("InsufficientStorage", 507), size
        assert blobs(full) == before
        assert [found["Key"] for found in s3.list_objects_v2(Bucket="room")["Contents"]] == ["before"]
        s3.delete_object(Bucket="room", Key="before")


# Predictions

SLOW = """
import time
def model_fn(d): return 0
def input_fn(body, content_type): return body
def predict_fn(data, model):
    text = data if isinstance(data, str) else bytes(data).decode()
    time.sleep(float(text.strip() or 0))
    return ["here"]
"""


@pytest.fixture(scope="module")
def slow(small: RunningServer) -> Serving:
    serving = Serving(small)
    assert serving.deploy(SLOW)["EndpointStatus"] == "InService"
    serving.runtime = small.client("sagemaker-runtime", config=ONCE)
    return serving


def test_a_predictions_body_past_the_limit_is_413(slow: Serving) -> None:
    response = slow.refused(body=b" " * 100_001)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert response["Error"]["Code"] == "ValidationError"
    assert "100000 bytes" in response["Error"]["Message"]
    assert slow.ask(b"0" + b" " * 99_999) == ["here"]


def test_a_prediction_past_its_time_is_a_model_error_and_its_worker_replaced(slow: Serving) -> None:
    began = time.monotonic()
    response = slow.refused(body=b"60")
    assert time.monotonic() - began < 8
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelError", 424)
    assert response["OriginalMessage"] == "the model did not answer within 4 seconds"
    assert response["OriginalStatusCode"] == 504
    before = workers(slow.server)
    until(lambda: answers(slow), 40)
    until(lambda: len(workers(slow.server)) == 1 and workers(slow.server) != before, 20)


def workers(server: RunningServer) -> set[str]:
    """The folders of an endpoint's workers that have a socket."""
    return {path.parent.name for path in (server.data_dir / "endpoints").glob("*/*/socket")}


def answers(serving: Serving) -> bool:
    try:
        return bool(serving.ask(b"0") == ["here"])
    except ClientError:
        return False


@pytest.mark.parametrize(("size", "asked"), [(1, 8), (90_000, 4)])
def test_a_full_queue_is_503_with_retry_after(slow: Serving, size: int, asked: int) -> None:
    """One request is with the worker; by number three more may wait, by bytes two."""
    until(lambda: answers(slow), 40)
    first = threading.Thread(target=slow.ask, args=(b"1.5",))
    first.start()
    time.sleep(0.5)
    with ThreadPoolExecutor(asked) as pool:
        outcomes = list(pool.map(lambda _: outcome(slow, b"0".ljust(size)), range(asked)))
    first.join()
    taken, refused = [o for o in outcomes if o == ["here"]], [o for o in outcomes if o != ["here"]]
    assert len(taken) == (3 if size == 1 else 2)
    for response in refused:
        assert response["Error"]["Code"] == "ServiceUnavailable"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"


def outcome(serving: Serving, body: bytes) -> Any:
    try:
        return serving.ask(body)
    except ClientError as error:
        return error.response


def test_weights_are_exact_over_any_thousand_requests(server: RunningServer) -> None:
    serving = Serving(server)
    weights = {"A": 7.0, "B": 2.0, "C": 0.5}
    serving.deploy(*(answering(name) for name in "ABC"), weights=tuple(weights.values()))
    target = f"/endpoints/{serving.name}/invocations"
    request = wire.signed(server, "sagemaker", "POST", target, b"[1]", {"Content-Type": "application/json"})
    data = wire.head("POST", target, request) + b"[1]"
    seen = []
    with wire.connect(server) as raw:
        for _ in range(1600):
            raw.send(data)
            answered = raw.read("POST")
            assert answered.status == 200, answered.body
            seen.append(answered.headers["x-amzn-invoked-production-variant"])
            assert json.loads(answered.body) == [seen[-1]]
    for start in range(601):
        counts = Counter(seen[start : start + 1000])
        for name, weight in weights.items():
            assert abs(counts[name] - 1000 * weight / 9.5) <= 1, (start, counts)
    serving.sagemaker.delete_endpoint(EndpointName=serving.name)
