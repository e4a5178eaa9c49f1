"""The server's start and end as its user sees them: ports, folders of its own, signals, jobs that outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.app.serve import serve
from modelyard.base.disk import held
from modelyard.base.errors import Conflict, Invalid
from modelyard.testing.server import RunningServer, free_port
from tests.e2e.conftest import Journey
from tests.e2e.test_command_line import modelyard, processes_below, wait_until
from tests.e2e.test_journeys import SKLEARN

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'not yet\\n'))
print('ready', flush=True)
while True:
    time.sleep(0.1)
"""
"""A script that does not end when it is told to."""


class TestPortZero:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[RunningServer]:
        with RunningServer(tmp_path / "data", port=0) as running:
            yield running

    def test_what_it_took_is_said_everywhere(self, server: RunningServer) -> None:
        assert server.port > 0
        assert f"Modelyard answers at {server.url} " in server.log()
        where = ("--data-dir", str(server.data_dir))
        for variables in ({}, {"MODELYARD_PORT": "0"}, {"MODELYARD_PORT": "9"}):
            assert f"AWS_ENDPOINT_URL={server.url}\n" in modelyard("env", *where, **variables).stdout

    def test_jobs_reach_it(self, server: RunningServer) -> None:
        journey = Journey(server)
        script = "import os, boto3; print('me', boto3.client('sts').get_caller_identity()['Account'])"
        journey.start_training(SKLEARN, journey.upload_source(script))
        assert journey.wait()["TrainingJobStatus"] == "Completed", journey.log()
        assert "me 000000000000" in journey.log()

    def test_a_front_that_died_is_back_where_it_was(self, server: RunningServer) -> None:
        os.kill(int((server.data_dir / "run" / "front.pid").read_text()), signal.SIGKILL)
        wait_until(server.healthy)
        assert server.client("sts").get_caller_identity()["Account"] == "000000000000"

    def test_the_next_server_takes_over_the_front_that_lives(self, server: RunningServer) -> None:
        port, front = server.port, (server.data_dir / "run" / "front.pid").read_text()
        server.kill()
        server.port = 0
        server.start()
        assert (server.port, (server.data_dir / "run" / "front.pid").read_text()) == (port, front)


def test_env_without_a_server_cannot_name_port_zero(tmp_path: Path) -> None:
    run = modelyard("env", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert (run.returncode, run.stdout) == (1, "")
    assert "start it first" in run.stderr


def test_of_two_ephemeral_servers_on_one_folder_the_refused_one_deletes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    command = [sys.executable, "-m", "modelyard", "serve", "--ephemeral", "--data-dir", str(folder), "--port"]
    both = [subprocess.Popen([*command, str(free_port())], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        wait_until(lambda: any(one.poll() is not None for one in both), 60)
        refused, server = sorted(both, key=lambda one: one.poll() is None)
        assert refused.wait() == 1
        wait_until((folder / "run" / "server.json").exists, 60)
        assert (folder / "catalogue.db").exists()
    finally:
        for one in both:
            one.terminate()
    assert server.wait(60) == 0
    assert not folder.exists()


def test_a_locked_folder_stays_when_an_ephemeral_server_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server's lock came after the look into the empty folder."""
    folder = tmp_path / "data"
    (folder / "run").mkdir(parents=True)
    monkeypatch.setattr(Path, "iterdir", lambda _self: iter(()))
    with held(folder / "run" / "server.lock"), pytest.raises(Conflict, match="already runs"):
        serve({"data_dir": folder}, ephemeral=True)
    (folder / "catalogue.db").write_text("somebody's")
    with pytest.raises(Invalid, match="would delete"):
        serve({"data_dir": folder}, ephemeral=True)
    assert (folder / "catalogue.db").read_text() == "somebody's"


def test_a_second_sigterm_leaves_jobs_no_more_time(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        journey = Journey(server)
        journey.start_training(SKLEARN, journey.upload_source(STUBBORN))
        wait_until(lambda: "ready" in journey.log(), 60)
        os.kill(server.pid, signal.SIGTERM)
        logs = server.data_dir / "jobs"
        wait_until(lambda: any("not yet" in path.read_text() for path in logs.rglob("log/*.log")))
        assert server.healthy() or processes_below(tmp_path), "it waits for the job"
        began = time.monotonic()
        assert server.stop() == 0, server.log()
        assert time.monotonic() - began < 20
        wait_until(lambda: not processes_below(tmp_path))
        listed = modelyard("jobs", "get", "--json", journey.name, "--data-dir", str(server.data_dir)).stdout
        assert '"state": "stopped"' in listed, listed


def test_a_clean_stop_gives_jobs_the_grace_that_is_set(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", settings={"STOP_GRACE": "1"}) as server:
        journey = Journey(server)
        journey.start_training(SKLEARN, journey.upload_source(STUBBORN))
        wait_until(lambda: "ready" in journey.log(), 60)
        began = time.monotonic()
        assert server.stop() == 0, server.log()
        assert 1 <= time.monotonic() - began < 30
        log = next((server.data_dir / "jobs").rglob("log/*.log")).read_text()
        assert "not yet" in log, "it was told first"


def test_jobs_left_running_are_finished_by_the_next_server(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", settings={"LEAVE_JOBS_RUNNING": "true"}) as server:
        journey = Journey(server)
        script = "import time; print('ready', flush=True); time.sleep(5); print('score=1.5;', flush=True)"
        journey.start_training(SKLEARN, journey.upload_source(script))
        wait_until(lambda: "ready" in journey.log(), 60)
        assert server.stop() == 0, server.log()
        with server:
            job = journey.wait()
            assert (job["TrainingJobStatus"], job["FinalMetricDataList"][0]["Value"]) == ("Completed", 1.5)
            assert journey.log().count("ready") == 1, "it was started again"
