"""The commands as a user types them, each a real process."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer, free_port
from tests.e2e.conftest import Journey


def modelyard(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modelyard", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | variables,
        check=False,
    )


def test_quickstart_trains_deploys_predicts_and_ends(tmp_path: Path) -> None:
    port = free_port()
    run = modelyard("quickstart", "--data-dir", str(tmp_path / "data"), "--port", str(port))
    assert run.returncode == 0, run.stdout + run.stderr
    for part in ("accuracy=0.9", "Completed", "InService", "setosa", "virginica", f"127.0.0.1:{port}", "modelyard env"):
        assert part in run.stdout, run.stdout
    assert not processes_below(tmp_path), "quickstart left processes behind"


def test_quickstart_keep_leaves_a_server_that_the_next_one_uses(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path / "data"), "--port", str(free_port()))
    try:
        assert modelyard("quickstart", "--keep", *options).returncode == 0
        again = modelyard("quickstart", *options)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "Found a server" in again.stdout
        assert "modelyard serve" not in again.stdout
    finally:
        facts = json.loads((tmp_path / "data" / "run" / "server.json").read_text())
        os.kill(facts["pid"], signal.SIGTERM)
    wait_until(lambda: not processes_below(tmp_path))


def processes_below(folder: Path) -> list[str]:
    """The command lines of processes that name ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


def wait_until(condition: object, timeout: float = 20) -> None:
    end = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_a_second_server_on_the_same_data_says_so(server: RunningServer) -> None:
    run = modelyard("serve", "--data-dir", str(server.data_dir), "--port", str(free_port()))
    assert run.returncode == 1
    assert "already" in run.stderr, run.stderr


def test_a_taken_port_is_named(server: RunningServer, tmp_path: Path) -> None:
    run = modelyard("serve", "--data-dir", str(tmp_path / "other"), "--port", str(server.port))
    assert run.returncode == 1
    assert str(server.port) in run.stderr, run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    assert not (tmp_path / "other").exists()


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    for options, said in (
        (("--tls-cert", "/nope.pem"), "--tls-key is not given"),
        (("--tls-cert", "/nope.pem", "--tls-key", "/nope.pem"), "--tls-cert names /nope.pem"),
    ):
        run = modelyard("serve", "--data-dir", str(tmp_path / "data"), *options)
        assert (run.returncode, said in run.stderr) == (1, True), run.stderr
        assert not (tmp_path / "data").exists()


def test_the_network_without_tls_is_warned_of(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", options=("--host", "0.0.0.0")) as open_server:
        wait_until(lambda: "0.0.0.0 is open to the network without TLS" in open_server.log())


def test_the_version_is_said() -> None:
    assert modelyard("--version").stdout == f"modelyard {importlib.metadata.version('modelyard')}\n"


def test_quickstart_interrupted_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelyard", "quickstart", "--data-dir", str(tmp_path / "data")]
    command += ["--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while "Uploaded" not in (line := run.stdout.readline()):
            assert line, "it ended"
        run.send_signal(signal.SIGINT)
        said, errors = run.communicate(timeout=60)
    assert (run.returncode, "Interrupted" in said, errors) == (130, True, "")
    wait_until(lambda: not processes_below(tmp_path))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    server = RunningServer(tmp_path / "data").start()
    os.kill(server.pid, end)
    assert server.stop() == 0, server.log()
    wait_until(lambda: not processes_below(tmp_path))


def test_an_ephemeral_server_resets_and_leaves_nothing(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", ephemeral=True) as server:
        journey = Journey(server)
        assert [b["Name"] for b in server.client("s3").list_buckets()["Buckets"]] == [journey.bucket]
        server.reset()
        assert server.client("s3").list_buckets()["Buckets"] == []
        assert server.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert not server.data_dir.exists()


def test_a_lasting_server_refuses_reset(server: RunningServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.reset()
    assert refused.value.code in (403, 404)


def test_env_makes_the_aws_clients_speak_to_it(server: RunningServer) -> None:
    exports = modelyard("env", "--data-dir", str(server.data_dir)).stdout
    client = """
import boto3, os
assert os.path.exists(os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"])
print(os.environ["AWS_ENDPOINT_URL"], boto3.client("sts").get_caller_identity()["Account"])
"""
    shell = f"{exports}\nexec {shlex.quote(sys.executable)} -c {shlex.quote(client)}"
    run = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert run.stdout.split() == [server.url, "000000000000"], run.stderr


def test_keys_made_and_deleted_beside_a_running_server_count_at_once(server: RunningServer) -> None:
    made = json.loads(modelyard("keys", "create", "--json", "--data-dir", str(server.data_dir)).stdout)
    variables = {
        "AWS_ACCESS_KEY_ID": made["access_key"],
        "AWS_SECRET_ACCESS_KEY": made["secret"],
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    script = "import boto3; boto3.client('sts').get_caller_identity()"

    def works() -> bool:
        run = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | variables, capture_output=True, check=False
        )
        return run.returncode == 0

    assert works()
    assert modelyard("keys", "delete", made["access_key"], "--data-dir", str(server.data_dir)).returncode == 0
    wait_until(lambda: not works())


def test_doctor_names_what_it_looked_at() -> None:
    run = modelyard("doctor", "--json")
    found = {finding["what"]: finding for finding in json.loads(run.stdout)}
    assert {"system", "sandbox", "disk", "limits", "extra torch", "extra xgboost"} <= set(found)
    assert all(finding["mend"] for finding in found.values() if finding["state"] == "problem")


def test_help_answers_at_once() -> None:
    began = time.monotonic()
    assert "quickstart" in modelyard("--help").stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "modelyard", "--help"], capture_output=True, text=True, check=False
    ).stderr
    assert time.monotonic() - began < 10
    for heavy in ("sqlalchemy", "pydantic", "numpy", "sklearn", "botocore"):
        assert f" {heavy}\n" not in loaded, f"--help imports {heavy}"


def test_nouns_at_the_terminal(server: RunningServer, journey: Journey) -> None:
    where = ("--data-dir", str(server.data_dir))
    journey.create_model(journey.name, "modelyard/serving:1", f"s3://{journey.bucket}/none/model.tar.gz", "")
    listed = json.loads(modelyard("models", "list", "--json", *where).stdout)
    assert journey.name in [row["name"] for row in listed]
    assert journey.name in modelyard("models", "get", journey.name, *where).stdout
    assert modelyard("models", "delete", journey.name, *where).returncode == 0
    gone = modelyard("models", "get", journey.name, *where)
    assert gone.returncode == 1
    assert "does not exist" in gone.stderr
    for noun in ("jobs", "endpoints"):
        assert modelyard(noun, "list", *where).returncode == 0


def test_health_is_open_and_a_foreign_host_is_not(server: RunningServer) -> None:
    assert server.healthy()
    request = urllib.request.Request(f"{server.url}/health", headers={"Host": "evil.example.org"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 421
