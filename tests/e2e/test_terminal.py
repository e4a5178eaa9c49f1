"""The nouns, logs and keys at the terminal, beside a running server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.testing.server import RunningServer
from tests.e2e.conftest import Journey
from tests.e2e.test_command_line import modelyard, wait_until
from tests.e2e.test_journeys import SKLEARN


class At:
    """The command on one server's data."""

    def __init__(self, server: RunningServer) -> None:
        self.where = ("--data-dir", str(server.data_dir))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return modelyard(*words, *self.where)

    def says(self, *words: str) -> str:
        """What it prints, when all goes well."""
        run = self.run(*words)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def refuses(self, *words: str) -> str:
        """The one line with which it refuses."""
        run = self.run(*words)
        assert (run.returncode, run.stdout) == (1, "")
        return one_line(run)


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("modelyard: ")
    return lines[0]


@pytest.fixture
def terminal(server: RunningServer) -> At:
    return At(server)


def test_a_job_is_shown_stopped_and_deleted(terminal: At, journey: Journey) -> None:
    script = "import time; print('ready', flush=True); time.sleep(300)"
    journey.start_training(SKLEARN, journey.upload_source(script))
    wait_until(lambda: "ready" in journey.log(), 60)
    shown = json.loads(terminal.says("jobs", "get", "--json", journey.name))
    assert (shown["name"], shown["state"], shown["image"]) == (journey.name, "running", SKLEARN)
    assert journey.name in terminal.says("jobs", "get", shown["id"])
    assert journey.name in terminal.refuses("jobs", "delete", journey.name)
    terminal.says("jobs", "stop", journey.name)
    assert journey.wait()["TrainingJobStatus"] == "Stopped"
    assert journey.name in terminal.refuses("jobs", "stop", journey.name)
    terminal.says("jobs", "delete", journey.name)
    assert "does not exist" in terminal.refuses("jobs", "get", journey.name)
    assert journey.name not in terminal.says("jobs", "list", "--json")


def test_an_endpoint_is_shown_and_deleted(terminal: At, journey: Journey) -> None:
    artifact = f"s3://{journey.bucket}/none/model.tar.gz"
    journey.deploy(SKLEARN, artifact, "")
    shown = json.loads(terminal.says("endpoints", "get", "--json", journey.name))
    assert (shown["name"], shown["configuration"], shown["state"]) == (journey.name, journey.name, "failed")
    assert journey.name in terminal.says("endpoints", "list", "--json")
    assert f"modelyard endpoints delete {journey.name}" in terminal.refuses("endpoints", "stop", journey.name)
    assert f"modelyard models delete {journey.name}" in terminal.refuses("models", "stop", journey.name)
    terminal.says("endpoints", "delete", journey.name)
    wait_until(lambda: terminal.run("endpoints", "get", journey.name).returncode == 1)
    assert "does not exist" in terminal.refuses("endpoints", "delete", journey.name)


def test_logs_follow_until_the_end_with_progress_beside_them(terminal: At, journey: Journey) -> None:
    script = "import time\nfor i in range(4): print('line', i, flush=True); time.sleep(0.5)\n"
    journey.start_training(SKLEARN, journey.upload_source(script))
    run = terminal.run("logs", "-f", journey.name)
    assert run.returncode == 0, run.stderr
    assert [line for line in run.stdout.splitlines() if line.startswith("line")] == [f"line {i}" for i in range(4)]
    said = run.stderr.splitlines()
    assert said[-1] == "Completed"
    assert "Training" in said
    assert said == sorted(set(said), key=said.index), "a phase is said once"
    assert terminal.says("logs", journey.name).splitlines() == run.stdout.splitlines()
    assert "does not exist" in terminal.refuses("logs", "-f", "nobody")


def test_keys_are_listed_without_their_secrets(terminal: At) -> None:
    made = json.loads(terminal.says("keys", "create", "--name", "laptop", "--json"))
    bearer = json.loads(terminal.says("keys", "create", "--name", "ci", "--bearer", "--json"))
    assert set(bearer) == {"id", "token", "name"}
    listed = terminal.says("keys", "list", "--json")
    found = {row["id"]: (row["kind"], row["name"]) for row in json.loads(listed)}
    assert found[made["access_key"]] == ("signing", "laptop")
    assert found[bearer["id"]] == ("bearer", "ci")
    assert made["secret"] not in listed
    assert bearer["token"] not in listed
    assert "laptop" in terminal.says("keys", "list")
    for key in (made["access_key"], bearer["id"]):
        terminal.says("keys", "delete", key)
    assert "does not exist" in terminal.refuses("keys", "delete", bearer["id"])


COMMANDS = (
    ("env",),
    ("doctor",),
    ("quickstart",),
    ("serve",),
    ("keys", "create"),
    ("keys", "list"),
    ("jobs", "list"),
    ("models", "get", "x"),
    ("logs", "x"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_setting_is_named_in_a_line(command: tuple[str, ...], tmp_path: Path) -> None:
    run = modelyard(*command, "--data-dir", str(tmp_path / "data"), MODELYARD_PORT="abc")
    assert "port" in one_line(run)
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in one_line(modelyard("jobs", "list", "--data-dir", str(tmp_path / "file" / "data")))


def test_quickstart_on_a_taken_port_says_so(server: RunningServer, tmp_path: Path) -> None:
    run = modelyard("quickstart", "--data-dir", str(tmp_path / "data"), "--port", str(server.port))
    assert f"port {server.port} of 127.0.0.1 is in use" in one_line(run)
    assert not (tmp_path / "data").exists()


READING = (
    ("keys", "list"),
    ("keys", "delete", "x"),
    ("jobs", "list"),
    ("jobs", "stop", "x"),
    ("models", "get", "x"),
    ("endpoints", "delete", "x"),
    ("logs", "x"),
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_only_looks_makes_no_data_directory(command: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "typo"
    said = one_line(modelyard(*command, "--data-dir", str(folder)))
    assert f"no data directory at {folder}; `modelyard serve --data-dir {folder}` makes one" in said
    assert not folder.exists()


@pytest.mark.parametrize(("command", "made"), [(("env",), "AWS_ACCESS_KEY_ID="), (("keys", "create"), "secret")])
def test_keys_before_the_first_serve_come_with_word_that_none_runs(
    command: tuple[str, ...], made: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    run = modelyard(*command, "--data-dir", str(folder))
    assert run.returncode == 0
    assert made in run.stdout
    assert f"no server runs on {folder}; `modelyard serve --data-dir {folder}` starts one" in run.stderr


def test_beside_a_server_env_says_nothing_of_it(terminal: At) -> None:
    assert terminal.run("env").stderr == ""


def test_a_folder_that_cannot_be_made_is_said_to_be_the_data_directory() -> None:
    for command in ("serve", "env", "quickstart"):
        said = modelyard(command, "--data-dir", "/proc/foo").stderr
        assert "the data directory /proc/foo cannot be made: " in said
        assert len(said.splitlines()) == 1, said


def test_a_job_that_never_started_says_why(terminal: At, journey: Journey) -> None:
    journey.start_training("nobody/has:this", journey.upload_source("print('never')"))
    reason = journey.wait()["FailureReason"]
    run = terminal.run("logs", journey.name)
    assert (run.returncode, run.stdout) == (0, "")
    assert reason in run.stderr, "its lines are as long as they are"
    shown = json.loads(terminal.says("jobs", "get", "--json", journey.name))
    assert (shown["state"], shown["seconds"], shown["made_at"]) == ("failed", None, "sagemaker")


def test_a_followed_job_that_failed_ends_with_why_and_exit_code_1(terminal: At, journey: Journey) -> None:
    journey.start_training(SKLEARN, journey.upload_source("print('before', flush=True); raise SystemExit(3)"))
    reason = journey.wait()["FailureReason"]
    command = [sys.executable, "-m", "modelyard", "logs", "-f", journey.name, *terminal.where]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert "before" in run.stdout.splitlines()
    assert run.stdout.index("before\n") < run.stdout.index("Failed\n") < run.stdout.index(reason)


def test_what_was_done_is_said(terminal: At, journey: Journey) -> None:
    journey.create_model(journey.name, SKLEARN, f"s3://{journey.bucket}/none/model.tar.gz", "")
    assert terminal.says("models", "delete", journey.name) == f"model {journey.name} is deleted\n"
    made = json.loads(terminal.says("keys", "create", "--json"))["access_key"]
    assert terminal.says("keys", "delete", made) == f"key {made} is deleted\n"


def test_the_key_of_env_is_told_apart_when_it_is_deleted(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path / "data"))
    modelyard("env", *where)
    [default] = json.loads(modelyard("keys", "list", "--json", *where).stdout)
    modelyard("keys", "create", *where)
    assert 'run eval "$(modelyard env)" again' in modelyard("keys", "delete", default["id"], *where).stdout


def test_variants_are_objects(terminal: At, journey: Journey) -> None:
    journey.deploy(SKLEARN, f"s3://{journey.bucket}/none/model.tar.gz", "")
    shown = json.loads(terminal.says("endpoints", "get", "--json", journey.name))
    assert shown["variants"] == [{"name": "AllTraffic", "weight": 0.0, "workers": 0}]
    assert "name AllTraffic, weight 0, workers 0" in terminal.says("endpoints", "get", journey.name)


def test_a_piped_table_is_as_wide_as_what_is_in_it(terminal: At, journey: Journey) -> None:
    name, image = f"{journey.name}-{'n' * 30}", f"modelyard/serving-{'i' * 100}:1"
    journey.create_model(name, image, f"s3://{journey.bucket}/none/model.tar.gz", "")
    [row] = [line for line in terminal.says("models", "list").splitlines() if name in line]
    assert row.split()[:3] == [name, image, "sagemaker"]
    assert f" {image}\n" in terminal.says("models", "get", name)
    terminal.says("models", "delete", name)
