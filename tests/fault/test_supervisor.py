"""Supervisors, launchers and folders that go away at any moment: nothing runs twice, nothing is left running."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.core.jobs.ports import Attempt, Observation
from modelyard.runners.process import records
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner
from modelyard.runners.process.spec import encode
from modelyard.testing.runner_kit import attempt, finish, texts, until
from tests.fault.normal_user import REPOSITORY, USER, as_normal_user

pytestmark = pytest.mark.fault

HERE = Path(__file__).resolve().parent
TIERS = ["bubblewrap", "none"]
# Notes that it ran, leaves a daemon of its own, and goes on.
BUSY = """
import os, sys, time
with open("ran", "a") as file:
    file.write("x")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


def make_runner(root: Path, tier: str = "bubblewrap", **given: Any) -> ProcessRunner:
    if tier == "none":
        given["probe"] = lambda command: SandboxReport("none", ("refused",), "Allow it.")
    return ProcessRunner(
        Rules(COMMAND, hidden=(root,), server_lock=root / "server.lock", **given), RealDisk(), SystemClock()
    )


def busy(folder: Path) -> tuple[Attempt, str]:
    """An attempt that never ends, and the word by which its processes are found."""
    word = f"marked-{uuid.uuid4().hex}"
    return attempt(folder, BUSY, command=(sys.executable, "-I", "-S", "-c", BUSY, word)), word


def living(word: str) -> list[str]:
    """The processes, zombies aside, that have ``word`` on their command line, as the kernel describes them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append((entry / "stat").read_text())
            except OSError:
                continue
    return found


def ran(folder: Path) -> int:
    note = folder / "ml" / "algo-1" / "ran"
    return len(note.read_text()) if note.exists() else 0


def supervisor_of(folder: Path) -> int:
    return int(json.loads((folder / records.STARTED).read_text())["pid"])


@pytest.mark.parametrize("tier", TIERS)
def test_killed_at_any_moment_it_takes_everything_with_it(tmp_path: Path, tier: str) -> None:
    runner = make_runner(tmp_path, tier)
    chance = random.Random(20261121)
    reached = 0
    for number in range(20):
        folder = tmp_path / str(number)
        one, word = busy(folder)
        runner.start(one)
        if number % 2:
            until(lambda folder=folder: ran(folder))
        time.sleep(chance.uniform(0, 0.06))
        os.kill(supervisor_of(folder), signal.SIGKILL)
        killed = time.monotonic()
        assert finish(runner, folder).state == "lost"
        assert living(word) == [], "it is called lost while something of it lives"
        assert time.monotonic() - killed < 5
        reached += ran(folder)
        runner.start(one)
        assert runner.observe(folder).state == "lost"
        assert living(word) == [] and ran(folder) <= 1
        runner.remove(folder)
        assert list(Path("/sys/fs/cgroup").glob(f"**/{one.id}-0")) == []
    assert reached >= 10


def test_killed_before_it_claimed_the_folder_nothing_is_lost(tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    chance = random.Random(20261121)
    early = 0
    for number in range(12):
        folder = tmp_path / str(number)
        one = attempt(folder, "open('ran', 'a').write('x')")
        (folder / "log").mkdir()
        (folder / "tmp" / "algo-1").mkdir(parents=True)
        killed_launch(encode(runner._spec(one)), chance.uniform(0, 0.06))
        if until(lambda folder=folder: runner.observe(folder).state != "running") and not ran(folder):
            early += 1
        runner.start(one)
        finish(runner, folder)
        assert ran(folder) <= 1
        if runner.observe(folder).state == "exited":
            assert ran(folder) == 1
    assert early, "no kill came early enough"


def killed_launch(spec: bytes, after: float) -> None:
    """Launch a supervisor by hand and kill it, and whoever launched it, ``after`` seconds."""
    handed = os.memfd_create("spec")
    os.write(handed, spec)
    os.lseek(handed, 0, os.SEEK_SET)
    claimed, claim = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, str(handed), str(claim)], pass_fds=(handed, claim), start_new_session=True, env={}
    )
    os.close(handed)
    os.close(claim)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    os.close(claimed)


def test_the_death_of_who_launched_it_changes_nothing(tmp_path: Path) -> None:
    """Either nothing was started, or it carries on to its end."""
    runner = make_runner(tmp_path)
    chance = random.Random(7)
    carried_on = 0
    for number in range(12):
        folder = tmp_path / str(number)
        one = attempt(folder, "import time; time.sleep(0.2); open('ran', 'a').write('x')")
        process = subprocess.Popen([sys.executable, "-c", START, str(tmp_path), str(folder)])
        until(lambda folder=folder: (folder / "go").exists())
        time.sleep(chance.uniform(0, 0.08))
        process.kill()
        process.wait()
        time.sleep(0.1)  # a supervisor that has not claimed yet
        state = runner.observe(folder).state
        if state == "running":
            carried_on += 1
            assert finish(runner, folder).exit_code == 0
        runner.start(one)
        assert finish(runner, folder).exit_code == 0
        assert ran(folder) == 1
    assert carried_on


START = """
import sys
from pathlib import Path
from tests.fault.test_supervisor import make_runner
from modelyard.testing.runner_kit import attempt
from modelyard.core.jobs.ports import Attempt
root, folder = map(Path, sys.argv[1:])
runner = make_runner(root)
code = "import time; time.sleep(0.2); open('ran', 'a').write('x')"
one = Attempt("x", "job", 1, folder, ("algo-1",), (sys.executable, "-I", "-S", "-c", code), {})
runner._rules.report()
(folder / "go").touch()
runner.start(one)
"""


@pytest.mark.parametrize("tier", TIERS)
def test_a_guard_that_is_killed_takes_its_command_along(tmp_path: Path, tier: str) -> None:
    runner = make_runner(tmp_path, tier)
    one, word = busy(tmp_path / "a")
    runner.start(one)
    until(lambda: ran(tmp_path / "a"))
    os.kill(records.processes(tmp_path / "a")[0]["pid"], signal.SIGKILL)
    seen = finish(runner, tmp_path / "a")
    assert (seen.state, seen.exit_code) == ("exited", 137)
    assert living(word) == []


@pytest.mark.parametrize("tier", TIERS)
def test_a_folder_deleted_under_it_ends_it(tmp_path: Path, tier: str) -> None:
    runner = make_runner(tmp_path, tier)
    one, word = busy(tmp_path / "a")
    runner.start(one)
    until(lambda: ran(tmp_path / "a"))
    pid = supervisor_of(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    until(lambda: living(word) == [] and records.identity(pid)["start"] is None)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("tier", TIERS)
def test_a_stopped_tree_is_gone_within_three_seconds_of_its_grace(tmp_path: Path, tier: str) -> None:
    runner = make_runner(tmp_path, tier)
    one, word = busy(tmp_path / "a")
    runner.start(one)
    until(lambda: ran(tmp_path / "a"))
    begun = time.monotonic()
    runner.stop(tmp_path / "a", 1.0)
    assert finish(runner, tmp_path / "a").reason == "stopped"
    assert living(word) == []
    assert time.monotonic() - begun < 4


def test_a_fork_bomb_meets_its_bound_and_no_one_elses(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, processes=50)
    code = (
        "import os, time\nmade = 0\n"
        "try:\n    while made < 500:\n        if os.fork() == 0:\n            time.sleep(30)\n        made += 1\n"
        "except OSError as error:\n    print('made', made, flush=True)\ntime.sleep(PAUSE)\n"
    )
    runner.start(attempt(tmp_path / "a", code.replace("PAUSE", "3")))
    until(lambda: texts(tmp_path / "a"))
    runner.start(attempt(tmp_path / "b", code.replace("PAUSE", "0")))
    assert finish(runner, tmp_path / "b").exit_code == 0
    for name in ("a", "b"):
        assert 30 < int(texts(tmp_path / name)[0].split()[1]) < 50, texts(tmp_path / name)
    runner.stop(tmp_path / "a", 0)
    finish(runner, tmp_path / "a")


HOG = "held = []\nwhile True:\n    held.append(bytearray(8 << 20))"


def hog(runner: ProcessRunner, folder: Path) -> Observation:
    runner.start(attempt(folder, f"import time\n{HOG}\n    time.sleep(0.01)", memory=200 << 20))
    return finish(runner, folder)


@pytest.mark.parametrize("tier", TIERS)
def test_a_memory_hog_is_ended_and_named(tmp_path: Path, tier: str) -> None:
    seen = hog(make_runner(tmp_path, tier), tmp_path / "a")
    assert seen.reason == "memory"
    assert "algo-1" in seen.message and "200 MiB" in seen.message


def test_memory_in_shared_files_counts(tmp_path: Path) -> None:
    code = "file = open('/dev/shm/x', 'wb')\nwhile True: file.write(bytes(1 << 20))"
    make_runner(tmp_path).start(attempt(tmp_path / "a", code, memory=100 << 20))
    seen = finish(make_runner(tmp_path), tmp_path / "a")
    assert seen.exit_code != 0


def test_a_file_grows_to_its_bound(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, file_bytes=1 << 20)
    runner.start(attempt(tmp_path / "a", "open('big', 'wb').write(bytes(2 << 20))"))
    finish(runner, tmp_path / "a")
    assert (tmp_path / "a" / "ml" / "algo-1" / "big").stat().st_size == 1 << 20
    assert any("File too large" in line for line in texts(tmp_path / "a"))


def test_no_core_is_dumped_and_processor_time_has_an_end(tmp_path: Path) -> None:
    code = "import resource as r; print(*(r.getrlimit(kind)[1] for kind in (r.RLIMIT_CORE, r.RLIMIT_CPU, r.RLIMIT_AS)))"
    runner = make_runner(tmp_path)
    command = (sys.executable, "-I", "-c", code)
    runner.start(attempt(tmp_path / "a", "", command=command, deadline=time.time() + 100, cpus=2.0, memory=1 << 30))
    finish(runner, tmp_path / "a")
    core, processor, space = map(int, texts(tmp_path / "a")[0].split())
    assert core == 0
    assert 200 < processor < 300
    assert 1 << 30 < space < 1 << 35


def test_a_job_steps_back_behind_what_answers_requests(tmp_path: Path) -> None:
    code = (
        "import os; score = open('/proc/self/oom_score_adj').read()\n"
        "print(os.sched_getscheduler(0) == os.SCHED_BATCH, os.nice(0), score)"
    )
    runner = make_runner(tmp_path)
    runner.start(attempt(tmp_path / "a", code))
    finish(runner, tmp_path / "a")
    batch, nice, score = texts(tmp_path / "a")[0].split()
    assert batch == "True" and int(nice) >= os.nice(0) and int(score) == 500


def test_what_is_told_written_has_been_flushed(tmp_path: Path) -> None:
    """The order of flushes and renames: the claim before any user code, the whole log before the exit record."""
    folder = tmp_path / "a"
    one = attempt(folder, "print('hello'); open('ran', 'w')")
    (folder / "log").mkdir()
    (folder / "tmp" / "algo-1").mkdir(parents=True)
    spec = tmp_path / "spec"
    spec.write_bytes(encode(make_runner(tmp_path)._spec(one)))
    done = subprocess.run(
        [sys.executable, str(HERE / "recorded_supervisor.py"), str(spec)], capture_output=True, text=True, check=True
    )
    events = [tuple(event) for event in json.loads(done.stdout)]
    names = [event[:2] for event in events]
    started = names.index(("sync", ".started"))
    claimed = names.index(("launched", ""))
    processes = names.index(("replace", "processes"))
    log = names.index(("sync", "algo-1.log"))
    written = names.index(("sync", ".exit"))
    replaced = names.index(("replace", "exit"))
    assert started < claimed < processes < log < written < replaced < len(names) - 1
    assert names[replaced + 1] == ("sync_folder", "a") and ("sync_folder", "a") in names[started:claimed]
    ran_by_then = {event[:2]: event[2] for event in events}
    assert not ran_by_then[("replace", "processes")], "user code ran before its processes were on record"
    assert ran_by_then[("sync", "algo-1.log")]


def test_a_process_of_the_same_number_is_not_the_same_process() -> None:
    mine = records.identity(os.getpid())
    assert records.is_alive(mine)
    assert not records.is_alive({**mine, "start": "1"})
    assert not records.is_alive({**mine, "boot": "another"})


if os.geteuid() == 0:  # else all of this file runs as a normal user already

    def test_it_all_holds_for_a_normal_user() -> None:
        """The contract, and of this file what a normal user's lack of control groups and of a second user changes."""
        base = Path(tempfile.mkdtemp(prefix="modelyard-normal-"))
        os.chown(base, USER, USER)
        tests = [
            str(REPOSITORY / "tests" / path) for path in ("contract/ports/test_runner.py", "fault/test_supervisor.py")
        ]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--basetemp",
            str(base / "t"),
            *tests,
        ]
        command += ["--rootdir", str(REPOSITORY), "-c", str(REPOSITORY / "pyproject.toml")]
        command += ["-k", "Contract or Sandbox or hog or bomb or bound or moment or grace"]
        try:
            done = subprocess.run(as_normal_user(command), capture_output=True, text=True, cwd=base, check=False)
        finally:
            shutil.rmtree(base)
        assert done.returncode == 0, done.stdout[-4000:]
