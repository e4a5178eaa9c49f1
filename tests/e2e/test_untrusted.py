"""What users upload stays data: pickles, names that climb, commands in texts.

The classes of MLflow's, BentoML's and Ray's published CVEs that concern content; test_security.py has the door's,
test_denial.py those that would keep the server busy.
"""

from __future__ import annotations

import builtins
import io
import json
import pickle
import uuid
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from botocore.exceptions import ClientError

from modelyard.core.jobs.packing import packed
from modelyard.testing.server import RunningServer
from tests.e2e import wire
from tests.e2e.conftest import Journey
from tests.e2e.test_journeys import SKLEARN
from tests.e2e.test_serving import ROLE, Serving, _archive

# Pickles

PROBE = """
import json, os, socket
seen = {}
try:
    open(%(marker)r, 'w').write('ran')
    seen['marker'] = os.path.realpath(%(marker)r)
except OSError: pass
for path in (%(data)r, %(data)r + '/keys/credentials.json', %(data)r + '/keys/master', %(data)r + '/catalogue.db'):
    try:
        seen[path] = os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read().hex()
    except OSError: pass
for address in (('127.0.0.1', %(port)d), ('1.1.1.1', 53)):
    try:
        socket.create_connection(address, 2).close()
        seen[str(address)] = 'reached'
    except OSError: pass
try:
    left = socket.socket(socket.AF_UNIX)
    left.connect(%(data)r + '/run/server.sock')
    seen['unix'] = 'reached'
except OSError: pass
seen = {name: what for name, what in seen.items() if what != []}
seen['keys'] = sorted(name for name in os.environ if 'SECRET' in name or 'ACCESS_KEY' in name)
import builtins
builtins.SEEN = getattr(builtins, 'SEEN', []) + [seen]
"""


class Exec:
    """``builtins.exec`` of a text when it is loaded."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return builtins.exec, (self.text,)


class Eval(Exec):
    def __reduce__(self) -> Any:
        return builtins.eval, (f"exec({self.text!r})",)


class Compiled(Exec):
    """A call hidden two deep: getattr of an imported module."""

    def __reduce__(self) -> Any:
        return getattr, (Exec(self.text), "__class__")


class State(Exec):
    """Runs in ``__setstate__``'s place."""

    def __reduce__(self) -> Any:
        return builtins.dict, (), None, None, iter([("k", Exec(self.text))])


def dumped(value: object, how: str) -> bytes:
    stream = io.BytesIO()
    if how == "joblib":
        joblib.dump(value, stream)
    elif how == "numpy":
        np.save(stream, np.array([value], dtype=object), allow_pickle=True)
    else:
        pickle.dump(value, stream, protocol=0 if how == "text" else None)
    return stream.getvalue()


def payloads(probe: str) -> dict[str, bytes]:
    """Six harmless payloads: each only writes a marker and says what it could see."""
    return {
        "exec.pkl": dumped(Exec(probe), "pickle"),
        "text.pkl": dumped(Eval(probe), "text"),
        "nested.pkl": dumped(Compiled(probe), "pickle"),
        "items.pkl": dumped(State(probe), "pickle"),
        "model.joblib": dumped(Exec(probe), "joblib"),
        "rows.npy": dumped(Exec(probe), "numpy"),
    }


LOADER = """
import builtins, os, pickle
import joblib, numpy
def model_fn(folder):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith('.npy'):
            numpy.load(path, allow_pickle=True)
        elif name.endswith('.joblib'):
            joblib.load(path)
        else:
            with open(path, 'rb') as file:
                pickle.load(file)
    return 0
def predict_fn(data, model):
    return builtins.SEEN
"""


def deploy(serving: Serving, model: bytes, hooks: str | None) -> Any:
    source = None if hooks is None else _archive(**{"inference.py": hooks})
    return serving.deploy_config(serving.config_of(serving.variant(model, source)))


def test_pickles_run_in_no_process_but_the_worker_and_reach_nothing(server: RunningServer, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    probe = PROBE % {"marker": str(marker), "data": str(server.data_dir), "port": server.port}
    proof: dict[str, Any] = {}
    for name, content in payloads("proof['loaded'] = proof.get('loaded', 0) + 1").items():
        assert name
        builtins.proof = proof  # type: ignore[attr-defined]
        loaded(content)
    assert proof["loaded"] == 6, "each payload does run where it is loaded"

    serving = Serving(server)
    assert deploy(serving, packed(payloads(probe)), LOADER)["EndpointStatus"] == "InService"
    seen = serving.ask()
    assert seen == [{"keys": []}] * 6
    serving.sagemaker.delete_endpoint(EndpointName=serving.name)

    bare = Serving(server)
    deploy(bare, packed({"model.joblib": payloads(probe)["model.joblib"]}), None)
    bare.sagemaker.delete_endpoint(EndpointName=bare.name)

    journey = Journey(server)
    for name, content in payloads(probe).items():
        journey.upload(f"channel/{name}", content)
    channel = f"s3://{journey.bucket}/{journey.name}/channel"
    script = "import os, shutil\nfor n in os.listdir('/opt/ml/input/data/in'): "
    script += "shutil.copy('/opt/ml/input/data/in/' + n, os.environ['SM_MODEL_DIR'])"
    journey.start_training(SKLEARN, journey.upload_source(script), {"in": channel})
    assert journey.wait()["TrainingJobStatus"] == "Completed"
    assert not marker.exists()


def loaded(content: bytes) -> None:
    """Run one payload here, to know that it can."""
    if content.startswith(b"\x93NUMPY"):
        np.load(io.BytesIO(content), allow_pickle=True)
        return
    try:
        pickle.loads(content)
    except (AttributeError, pickle.UnpicklingError):
        joblib.load(io.BytesIO(content))


# Names that climb

CLIMBING = (
    "../../../escaped", "..\\..\\escaped", "a/../../escaped", "/etc/passwd", "//etc//passwd", "%2e%2e/%2e%2e/escaped",
    "..%2f..%2fescaped", "%252e%252e%252fescaped", "..", ".", "a/./b", "C:\\escaped", "~/escaped", "..;/escaped",
    "\u2025/escaped", "..\u2215escaped", "con\u202eescaped", "$(touch escaped)", "`touch escaped`", "; touch escaped",
)  # fmt: skip


def test_keys_that_climb_are_names_and_nothing_else(server: RunningServer) -> None:
    s3 = server.client("s3")
    bucket = f"climb-{uuid.uuid4().hex[:6]}"
    s3.create_bucket(Bucket=bucket)
    for key in CLIMBING:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 3000)
    for key in CLIMBING:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode() * 3000
    listed = {found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed == set(CLIMBING)
    names = {path.name for path in server.data_dir.parent.rglob("*")} | {path.name for path in Path("/etc").iterdir()}
    assert not any("escaped" in name for name in names)
    blobs = {path.parent.name for path in (server.data_dir / "blobs").rglob("*") if path.is_file()}
    assert all(len(folder) == 2 for folder in blobs)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/..\\..\\etc\\passwd",
        "/%252e%252e/%252e%252e/etc/passwd", "/bucket/..%5c..%5cetc%5cpasswd", "/bucket/%2e%2e%2fkeys%2fmaster",
        "/endpoints/..%2f..%2fkeys/invocations", "/endpoints/%2e%2e/invocations", "/./health/../keys/credentials.json",
        "/static/../../keys/master", "//etc/passwd", "/_modelyard/../keys/credentials.json", "/bucket/%00../keys",
    ],
)  # fmt: skip
def test_paths_that_climb_reach_no_file(server: RunningServer, path: str) -> None:
    secrets = (server.environment["AWS_SECRET_ACCESS_KEY"].encode(), b"root:")
    for headers in ({}, wire.signed(server, "s3", "GET", path)):
        for method in ("GET", "POST"):
            answered = wire.ask(server, wire.head(method, path, headers | {"Content-Length": 0}))
            assert 400 <= answered.status < 500, (method, answered.status)
            assert not any(secret in answered.body for secret in secrets)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "a\\b", "%2e%2e", "a\x00b", "-x", "x" * 64, "$(id)", "a;b", "é"])
def test_names_that_climb_are_refused(server: RunningServer, name: str) -> None:
    journey = Journey(server)
    journey.name = name
    sagemaker, logs = journey.sagemaker, server.client("logs")
    sagemaker.meta.events.register("before-parameter-build", lambda **_: None)
    calls = (
        lambda: journey.start_training(SKLEARN, "s3://journeys/none.tar.gz"),
        lambda: sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": SKLEARN}),
        lambda: sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name),
        lambda: sagemaker.create_notebook_instance(
            NotebookInstanceName=name, InstanceType="ml.t3.medium", RoleArn=ROLE
        ),
        lambda: logs.get_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=f"{name}/../../keys"),
    )
    for call in calls:
        with pytest.raises(ClientError) as caught:
            call()
        code = caught.value.response["Error"]["Code"]
        assert code in ("ValidationException", "InvalidParameterException", "ResourceNotFoundException"), code
    assert not any("journeys/none" in str(job) for job in sagemaker.list_training_jobs()["TrainingJobSummaries"])


def test_inputs_that_climb_fail_the_job_by_name(server: RunningServer) -> None:
    journey = Journey(server)
    journey.upload("in/../../../escaped", b"x")
    channel = f"s3://{journey.bucket}/{journey.name}/in/"
    journey.start_training(SKLEARN, journey.upload_source("print('never')"), {"train": channel})
    job = journey.wait()
    assert job["TrainingJobStatus"] == "Failed"
    assert "escaped" in job["FailureReason"]
    for number, place in enumerate(("/opt/ml/../../etc", "/etc", "../../..", "/opt/ml/code/../../../etc")):
        journey.name = f"{journey.name[:20]}-{number}"
        journey.start_training(
            SKLEARN, journey.upload_source("print('never')"), CheckpointConfig={"S3Uri": channel, "LocalPath": place}
        )
        assert journey.wait()["TrainingJobStatus"] == "Failed", place


# Commands in texts


def test_hyperparameters_and_variables_are_texts_never_commands(server: RunningServer) -> None:
    hostile = [
        "$(touch /tmp/ran)",
        "`touch /tmp/ran`",
        "; touch /tmp/ran",
        "| touch /tmp/ran",
        "--flag=x",
        "'\"",
    ]
    hyper = {f"p{number}": text for number, text in enumerate(hostile)} | {"$(touch /tmp/ran)": "x"}
    script = """
import json, os, sys
print('ARGS', json.dumps(sys.argv[1:]))
print('VARIABLE', json.dumps(os.environ['HOSTILE']))
print('RAN', os.path.exists('/tmp/ran') or os.path.exists('/opt/ml/code/ran'))
"""
    journey = Journey(server)
    journey.start_training(SKLEARN, journey.upload_source(script), hyper=hyper, Environment={"HOSTILE": hostile[0]})
    job, log = journey.wait(), journey.log()
    assert job["TrainingJobStatus"] == "Completed", (job, log)
    arguments = json.loads(next(line for line in log if line.startswith("ARGS"))[5:])
    for number, text in enumerate(hostile):
        assert arguments[arguments.index(f"--p{number}") + 1] == text
    assert f"VARIABLE {json.dumps(hostile[0])}" in log
    assert "RAN False" in log
    assert not Path("/tmp/ran").exists()


@pytest.mark.parametrize(
    "program", ["train.py; touch /tmp/ran", "$(touch /tmp/ran).py", "../../../bin/sh", "-c", "/bin/sh"]
)
def test_a_program_is_a_file_of_the_code_never_a_command(server: RunningServer, program: str) -> None:
    journey = Journey(server)
    journey.start_training(SKLEARN, journey.upload_source("print('ran')"), hyper={"sagemaker_program": program})
    assert journey.wait()["TrainingJobStatus"] == "Failed"
    assert not Path("/tmp/ran").exists()
