"""Who may call at all: hosts, origins and forgotten methods, anonymous callers, keys, TLS; nothing fetches a URL.

The classes of MLflow's, BentoML's and Ray's published CVEs that concern the door; test_untrusted.py has those that
concern what users upload.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelyard.app.fronts import answers_anonymous
from modelyard.app.settings import Settings
from modelyard.testing.server import RunningServer
from tests.e2e import wire
from tests.e2e.conftest import Journey
from tests.e2e.test_journeys import SKLEARN
from tests.e2e.test_serving import ROLE, Serving

ONCE = Config(retries={"max_attempts": 0, "mode": "standard"}, read_timeout=30)
METHODS = (
    "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK",
    "SEARCH", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY",
    "SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE",
)  # fmt: skip


@pytest.fixture(scope="module")
def ephemeral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("ephemeral") / "data", ephemeral=True) as running:
        yield running


# Host and Origin


@pytest.mark.parametrize("service", ["s3", "sagemaker"])
@pytest.mark.parametrize(
    ("header", "value", "status", "codes"),
    [
        ("Host", "rebound.evil.example", 421, {"s3": b"InvalidRequest", "sagemaker": b"ValidationException"}),
        ("Origin", "http://evil.example", 403, {"s3": b"AccessDenied", "sagemaker": b"AccessDeniedException"}),
    ],
)
def test_other_hosts_and_origins_are_refused_in_the_apis_form(
    server: RunningServer, service: str, header: str, value: str, status: int, codes: dict[str, bytes]
) -> None:
    """A signed request, so that only the name or site can be the reason."""
    about = {"X-Amz-Target": "SageMaker.ListModels"} if service == "sagemaker" else {}
    headers = wire.signed(server, service, "POST", "/", b"{}", about) | {header: value}
    answered = wire.ask(server, wire.head("POST", "/", headers) + b"{}")
    assert answered.status == status
    assert codes[service] in answered.body


@pytest.mark.parametrize("method", METHODS)
def test_no_method_is_forgotten(ephemeral: RunningServer, method: str) -> None:
    """Every method but GET, HEAD and OPTIONS changes something, whoever answers it."""
    for target in ("/", "/_modelyard/reset", "/endpoints/e/invocations", "/bucket/key"):
        for value in ("http://evil.example", "null", "http://localhost.evil.example"):
            answered = wire.ask(ephemeral, wire.head(method, target, {"Origin": value, "Content-Length": 0}))
            assert answered.status in (400, 403), (method, target, answered.status)
            assert "access-control-allow-origin" not in answered.headers
        assert wire.ask(ephemeral, wire.head(method, target, {"Host": "evil.example"})).status in (400, 421)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "get", "Post", "X", "CONNECT"])
def test_reading_methods_change_nothing_and_unknown_ones_are_refused(ephemeral: RunningServer, method: str) -> None:
    answered = wire.ask(ephemeral, wire.head(method, "/_modelyard/reset", {"Origin": "http://evil.example"}), method)
    assert answered.status in (400, 403, 405)


def test_a_websocket_of_another_site_is_refused(server: RunningServer) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
    assert wire.ask(server, wire.head("GET", "/", upgrade | {"Origin": "http://evil.example"})).status == 403
    assert wire.ask(server, wire.head("GET", "/", upgrade | {"Host": "evil.example"})).status == 421


# Anonymous callers


def anonymous_requests(server: RunningServer) -> dict[str, bytes]:
    json_type = {"Content-Type": "application/x-amz-json-1.1"}
    form = b"Action=GetCallerIdentity&Version=2011-06-15"
    parts = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
    parts += b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n'

    def post(target: str, body: bytes, headers: dict[str, Any]) -> bytes:
        return wire.head("POST", target, headers | {"Content-Length": len(body)}) + body

    return {
        "sagemaker": post("/", b"{}", json_type | {"X-Amz-Target": "SageMaker.ListModels"}),
        "logs": post("/", b"{}", json_type | {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}),
        "sts": post("/", form, {"Content-Type": "application/x-www-form-urlencoded"}),
        "cbor": post("/service/GraniteServiceVersion20100801/operation/ListMetrics", b"\xa0", {}),
        "prediction": post("/endpoints/any/invocations", b"[1]", {"Content-Type": "application/json"}),
        "form upload": post("/private", parts, {"Content-Type": "multipart/form-data; boundary=b"}),
        "list buckets": wire.head("GET", "/", {}),
        "get object": wire.head("GET", "/private/key", {}),
        "put object": wire.head("PUT", "/private/key", {"Content-Length": 1}) + b"x",
        "another scheme": wire.head("GET", "/private/key", {"Authorization": "Bearer x"}),
        "basic": wire.head("GET", "/private/key", {"Authorization": "Basic YWRtaW46cGFzc3dvcmQ="}),
    }


@pytest.mark.parametrize("name", list(anonymous_requests(None)))  # type: ignore[arg-type]
def test_aws_calls_are_never_anonymous_not_even_on_loopback(server: RunningServer, name: str) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="key", Body=b"secret")
    answered = wire.ask(server, anonymous_requests(server)[name])
    assert 400 <= answered.status < 500, answered.body
    assert b"secret" not in answered.body
    assert s3.get_object(Bucket="private", Key="key")["Body"].read() == b"secret"
    assert s3.list_objects_v2(Bucket="private")["KeyCount"] == 1


@pytest.mark.parametrize("service", ["sagemaker", "s3", "sts", "logs", "iam"])
def test_an_unsigned_client_is_told_in_its_own_words(server: RunningServer, service: str) -> None:
    client = server.client(service, config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))
    calls = {"sagemaker": "list_models", "s3": "list_buckets", "sts": "get_caller_identity"}
    calls |= {"logs": "describe_log_groups", "iam": "list_roles"}
    with pytest.raises(ClientError) as caught:
        getattr(client, calls[service])()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404)


@pytest.mark.parametrize(
    ("host", "told", "answers"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("localhost", None, True),
        ("127.0.0.1", False, False),
        ("0.0.0.0", None, False),
        ("::", None, False),
        ("192.0.2.1", None, False),
        ("127.evil.example", None, False),
        ("0.0.0.0", True, True),
    ],
)
def test_anonymous_calls_beside_loopback_need_an_explicit_word(host: str, told: bool | None, answers: bool) -> None:
    assert answers_anonymous(Settings(host=host, anonymous=told)) is answers


def test_a_server_on_every_address_answers_nobody_unsigned(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", ephemeral=True, options=("--host", "0.0.0.0")) as server:
        assert server.client("sagemaker").list_models()["Models"] == []
        for data in anonymous_requests(server).values():
            assert 400 <= wire.ask(server, data).status < 500
        reset = wire.head("POST", "/_modelyard/reset", {"Content-Length": 0})
        assert wire.ask(server, reset).status == 403
        assert wire.ask(server, wire.head("GET", "/", {"Host": "evil.example"})).status == 421


def test_a_jobs_anonymous_request_is_refused_whatever_it_claims(ephemeral: RunningServer) -> None:
    script = f"""
import http.client
for headers in ({{}}, {{'X-Modelyard-Front-Job': '0'}}, {{'X-Modelyard-Front-Peer': '10.0.0.1'}},
                {{'Authorization': 'x'}}, {{'Authorization': 'AWS4-HMAC-SHA256 x'}}):
    for query in ('', '?Signature=x'):
        client = http.client.HTTPConnection('127.0.0.1', {ephemeral.port}, timeout=20)
        client.request('POST', '/_modelyard/reset' + query, headers=headers)
        print('status', client.getresponse().status)
"""
    journey = Journey(ephemeral)
    journey.start_training(SKLEARN, journey.upload_source(script))
    assert journey.wait()["TrainingJobStatus"] == "Completed"
    statuses = [line for line in journey.log() if line.startswith("status")]
    assert len(statuses) == 10
    assert set(statuses) <= {"status 403", "status 400"}


# Keys


def test_keys_are_random_and_their_files_closed(tmp_path: Path, server: RunningServer) -> None:
    with RunningServer(tmp_path / "data") as other:
        ours, theirs = server.environment, other.environment
        assert ours["AWS_ACCESS_KEY_ID"] != theirs["AWS_ACCESS_KEY_ID"]
        assert ours["AWS_SECRET_ACCESS_KEY"] != theirs["AWS_SECRET_ACCESS_KEY"]
        assert len(theirs["AWS_SECRET_ACCESS_KEY"]) >= 40
        for path in (other.data_dir / "keys").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        for folder in (other.data_dir, other.data_dir / "keys", other.data_dir / "blobs", other.data_dir / "run"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        secret = theirs["AWS_SECRET_ACCESS_KEY"].encode()
        for part in other.data_dir.glob("catalogue.db*"):
            assert secret not in part.read_bytes()
        assert secret.decode() not in other.log()


@pytest.mark.parametrize(
    ("key", "secret"),
    [("test", "test"), ("admin", "admin"), ("", ""), ("mlflow", "password"), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI")],
)
def test_no_default_password_opens_anything(server: RunningServer, key: str, secret: str) -> None:
    for service, call in (("sagemaker", "list_models"), ("s3", "list_buckets")):
        client = _client(server, service, key or "x", secret or "x")
        with pytest.raises(ClientError) as caught:
            getattr(client, call)()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


def test_the_secret_of_another_key_does_not_sign(server: RunningServer) -> None:
    client = _client(server, "sts", server.environment["AWS_ACCESS_KEY_ID"], "x" * 40)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.get_caller_identity()


def _client(server: RunningServer, service: str, key: str, secret: str) -> Any:
    import boto3

    return boto3.client(
        service, endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=key,
        aws_secret_access_key=secret, config=ONCE,
    )  # fmt: skip


# Server-side requests


class Trap:
    """Listens on loopback and counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.visits += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.close()


def test_no_call_makes_the_server_fetch_a_url(server: RunningServer, trap: Trap) -> None:
    journey, serving = Journey(server), Serving(server)
    source = journey.upload_source("print(1)")
    hostile = (
        {"hyper": {"sagemaker_submit_directory": f"{trap.url}/source.tar.gz"}},
        {"InputDataConfig": [_channel(f"{trap.url}/data")]},
        {"OutputDataConfig": {"S3OutputPath": f"{trap.url}/out"}},
        {"CheckpointConfig": {"S3Uri": f"{trap.url}/checkpoints"}},
    )
    for number, change in enumerate(hostile):
        journey.name = f"{serving.name}-{number}"
        try:
            journey.start_training(SKLEARN, source, **change)  # type: ignore[arg-type]
            assert journey.wait()["TrainingJobStatus"] == "Failed", change
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "ValidationException", change
    image = f"127.0.0.1:{trap.url.rpartition(':')[2]}/sagemaker-scikit-learn:1.2-1"
    for name, container in {
        "url": {"Image": SKLEARN, "ModelDataUrl": f"{trap.url}/model.tar.gz"},
        "https": {"Image": SKLEARN, "ModelDataUrl": f"{trap.url.replace('http', 'https')}/model.tar.gz"},
        "image": {"Image": image, "ModelDataUrl": "s3://serving/none.tar.gz"},
    }.items():
        _deploy_if_it_may(serving, f"{serving.name}-{name}", container)
    with pytest.raises(ClientError):
        journey.s3.copy_object(Bucket=journey.bucket, Key="k", CopySource=f"{trap.url}/etc/passwd")
    assert trap.visits == 0


def _channel(uri: str) -> dict[str, Any]:
    return {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def _deploy_if_it_may(serving: Serving, name: str, container: dict[str, str]) -> None:
    variant = {"VariantName": "A", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    try:
        serving.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        serving.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        serving.name = name
        serving.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    except ClientError as refused:
        assert refused.response["Error"]["Code"] == "ValidationException"
        return
    assert serving.settled()["EndpointStatus"] == "Failed"
    serving.sagemaker.delete_endpoint(EndpointName=name)


# TLS


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "modelyard test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kept = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, kept, serialization.NoEncryption()))
    return paths


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", tls=certificate(tmp_path)) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="secure")
        s3.put_object(Bucket="secure", Key="k", Body=b"x" * 300_000)
        assert s3.get_object(Bucket="secure", Key="k")["Body"].read() == b"x" * 300_000
        serving = Serving(server)
        serving.deploy("def model_fn(d): return 0\ndef predict_fn(data, model): return ['safe']\n")
        assert serving.ask() == ["safe"]
        with wire.connect(server) as raw:
            raw.send(wire.head("GET", "/health", {}))
            assert raw.rest() == b"" or raw.held == b""
        assert json.loads((server.data_dir / "run" / "server.json").read_text())["url"].startswith("https://")
        listed = subprocess.run(
            [sys.executable, "-m", "modelyard", "endpoints", "list", "--json", "--data-dir", str(server.data_dir)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert serving.name in listed.stdout


def test_a_start_that_cannot_be_says_why_in_a_line(tmp_path: Path, server: RunningServer) -> None:
    for file in ("cert.pem", "key.pem"):
        (tmp_path / file).write_text("nonsense")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for refused, why in {
        RunningServer(tmp_path / "tls", tls=(cert, key)): "cert",
        RunningServer(tmp_path / "half", options=("--tls-cert", str(cert))): "go together",
        RunningServer(tmp_path / "port", port=server.port, options=("--host", "127.0.0.1")): str(server.port),
    }.items():
        refused.data_dir.parent.mkdir(exist_ok=True)
        ended = subprocess.run(_command(refused), capture_output=True, text=True, timeout=60, check=False)
        said = ended.stderr.strip().splitlines()[-1]
        assert (ended.returncode, why in said, "Traceback" in ended.stderr) == (1, True, False), ended.stderr
        assert said.startswith("modelyard: ")


def _command(server: RunningServer) -> list[str]:
    base = [sys.executable, "-m", "modelyard", "serve", "--data-dir", str(server.data_dir), "--port", str(server.port)]
    return [*base, *server._options]
