"""No way out of a sandbox, for jobs and for models, whoever runs the server: root or a normal user."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.runners.process import landlock
from modelyard.runners.process.probe import probe
from tests.fault.normal_user import USER, as_normal_user

pytestmark = pytest.mark.fault

HERE = Path(__file__).resolve().parent
AS_ROOT = os.geteuid() == 0
USERS = ["root", "normal"] if AS_ROOT else ["normal"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a normal user reaches too."""
    made = Path(tempfile.mkdtemp(prefix="modelyard-escapes-"))
    yield made
    shutil.rmtree(made)


def run(folder: Path, user: str, kind: str, terminal: int | None = None) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "escape_driver.py"), str(folder), kind]
    if user == "normal":
        command = as_normal_user(command)
        if AS_ROOT:
            os.chown(folder, USER, USER)

    def own_terminal() -> None:
        os.setsid()
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, stdin=terminal, preexec_fn=own_terminal
    )
    assert "RESULT " in done.stdout, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.partition("RESULT ")[2])
    return result


def got(log: str) -> dict[str, str]:
    assert "GOT " in log, log
    found: dict[str, str] = json.loads(log.partition("GOT ")[2].splitlines()[0])
    return found


def test_this_machine_gives_a_sandbox() -> None:
    report = probe(COMMAND)
    assert report.tier == "bubblewrap", report


@pytest.mark.parametrize("kind", ["job", "isolated", "worker"])
@pytest.mark.parametrize("user", USERS)
def test_nothing_gets_out(folder: Path, user: str, kind: str) -> None:
    result = run(folder, user, kind)
    assert got(result["log"]) == {}
    assert "UDP came through" not in result["log"]
    assert "is root's" not in result["log"]
    assert "a planted link counts as ready" not in result["log"]
    assert result["sentinel"], "a process outside was ended"
    assert (folder / "elsewhere").read_text(), "removing what a job left followed its link"


@pytest.mark.parametrize("user", USERS)
def test_a_terminal_is_not_handed_on(folder: Path, user: str) -> None:
    main, terminal = os.openpty()
    try:
        assert "push_input_to_the_terminal" not in got(run(folder, user, "job", terminal)["log"])
    finally:
        os.close(main)
        os.close(terminal)


def test_without_a_sandbox_the_same_tries_succeed(folder: Path) -> None:
    """The tries can tell: run bare, by a normal user, they get what a sandbox must withhold."""
    found = got(run(folder, "normal", "bare")["log"])
    assert {
        "read_files_of_the_server",
        "reach_the_server_over_loopback",
        "reach_abstract_sockets",
        "reach_sockets_of_the_server",
        "see_other_processes",
        "kill_other_processes",
        "new_user_namespace",
        "see_other_networks",
        "use_inherited_descriptors",
    } <= set(found)


@pytest.mark.skipif(landlock.abi() < 6, reason="this kernel has no Landlock, or an old one")
def test_landlock_holds_files_processes_and_tcp_and_nothing_more(folder: Path) -> None:
    """What gets through is what docs/operation.md says of this tier; a kernel that gives it refuses namespaces too."""
    result = run(folder, "normal", "landlock")
    through = {
        "new_user_namespace", "child_in_new_user_namespace", "reach_sockets_of_the_server", "see_other_processes",
        "see_other_networks", "raise_limits",
        "keep_capabilities",  # of the bounding set alone, which no program can draw on any more
    }  # fmt: skip
    assert set(got(result["log"])) <= through, got(result["log"])
    assert {"reach_sockets_of_the_server", "see_other_processes"} <= set(got(result["log"]))
    assert "UDP came through" in result["log"]
    assert result["sentinel"], "a process outside was ended"


@pytest.mark.parametrize("user", USERS)
def test_variables_do_not_act_on_bubblewrap_itself(folder: Path, user: str) -> None:
    result = run(folder, user, "preload")
    assert "\tran" in result["log"], result
    assert not (folder / "loaded").exists()
