"""A job's own network: out to the world and to the server alone, nobody in, gone with the job; as root and not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.runners.process.probe import probe
from tests.fault.network_driver import RESOLVER
from tests.fault.normal_user import USER, as_normal_user

pytestmark = pytest.mark.fault

DRIVER = Path(__file__).with_name("network_driver.py")
USERS = ["root", "normal"] if os.geteuid() == 0 else ["normal"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a normal user reaches too."""
    made = Path(tempfile.mkdtemp(prefix="modelyard-networks-"))
    yield made
    shutil.rmtree(made)


def driven(command: list[str]) -> dict[str, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "RESULT " in done.stdout, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.partition("RESULT ")[2])
    return found


needs_pasta = pytest.mark.skipif(
    not probe(COMMAND).pasta, reason=f"no jobs' networks here: {probe(COMMAND).no_network}"
)


@needs_pasta
@pytest.mark.parametrize("user", USERS)
def test_out_to_what_it_may_reach_and_nothing_in(folder: Path, user: str) -> None:
    command = [sys.executable, str(DRIVER), str(folder)]
    if user == "normal":
        command = as_normal_user(command)
        if os.geteuid() == 0:
            os.chown(folder, USER, USER)
    found = driven(command)
    assert {name: said for name, said in found.items() if said != "ok"} == {}
    assert len(found) == 8


@needs_pasta
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a name server of this machine")
def test_a_name_server_on_loopback_answers_within(folder: Path) -> None:
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    change = 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && shift && exec "$@"'
    own_mounts = ["unshare", "--mount", "sh", "-c", change, "sh", str(folder / "resolv.conf")]
    found = driven([*own_mounts, sys.executable, str(DRIVER), str(folder), "resolver"])
    assert found == {"a_name_server_on_loopback_is_asked": "ok"}
