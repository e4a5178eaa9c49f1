"""The contract of core.jobs.ports.Runner as tests: subclass, give the fixture ``runner``, run.

The attempts run real Python for tenths of a second; the tests' own folder is the attempt's.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.core.jobs.ports import Attempt, Observation, Runner

LIMIT = 30.0
_READ_SECRETS = "import os, json; print(json.loads(open(int(os.environ['MODELYARD_SECRETS_FD'])).read())['word'])"
_IGNORE_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
_OBEY_TERM = """
import os, signal, sys, time
def end(*_):
    os.write(1, b"bye\\n")
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
_MEET = """
import socket, sys
host = sys.argv[1]
if host == "algo-1":
    listener = socket.create_server(("algo-1", 7777))
    print("heard", listener.accept()[0].recv(9).decode())
else:
    for _ in range(500):
        try:
            socket.create_connection(("algo-1", 7777)).sendall(b"algo-2")
            break
        except OSError:
            import time; time.sleep(0.01)
"""


def attempt(folder: Path, code: str, **given: Any) -> Attempt:
    """An attempt in a new folder that runs Python ``code`` on each of its hosts."""
    hosts: tuple[str, ...] = given.pop("hosts", ("algo-1",))
    for host in hosts:
        (folder / "ml" / host / "model").mkdir(parents=True)
        (folder / "out" / host).mkdir(parents=True)
    fields: dict[str, Any] = {
        "number": 1,
        "command": (sys.executable, "-I", "-S", "-c", code, "{host}"),
        "variables": {},
        "grace": 5.0,
    }
    return Attempt(
        id=f"{folder.parent.name}-{folder.name}", job_id="job", folder=folder, hosts=hosts, **(fields | given)
    )


def until(check: Callable[[], Any], what: str = "it") -> Any:
    """Wait for ``check`` to say something true, and answer that."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.005)
    raise AssertionError(f"{what} did not happen within {LIMIT:.0f} s")


def finish(runner: Runner, folder: Path) -> Observation:
    """Wait for the attempt to be over."""

    def over() -> Observation | None:
        seen = runner.observe(folder)
        return seen if seen.state in ("exited", "lost") else None

    found: Observation = until(over, "the end")
    return found


def texts(folder: Path, host: str = "algo-1") -> list[str]:
    """The lines of the log without their times."""
    path = folder / "log" / f"{host}.log"
    return [line.partition("\t")[2] for line in path.read_text().split("\n")[:-1]] if path.exists() else []


class RunnerContract:
    """Subclass with a fixture ``runner``; ``with_log_cap`` makes one whose logs hold so many bytes."""

    @pytest.fixture
    def runner(self) -> Runner:
        raise NotImplementedError

    def with_log_cap(self, runner: Runner, log_bytes: int) -> Runner:
        raise NotImplementedError

    def test_an_attempt_runs_and_its_exit_code_is_kept(self, runner: Runner, tmp_path: Path) -> None:
        before = time.time()
        runner.start(attempt(tmp_path / "a", "print('one'); import sys; sys.exit(7)"))
        seen = finish(runner, tmp_path / "a")
        assert (seen.state, seen.reason, seen.exit_code) == ("exited", "exited", 7)
        assert seen.started is not None and seen.ended is not None
        assert before <= seen.started <= seen.ended <= time.time()
        assert "algo-1" in seen.message and "7" in seen.message
        assert runner.observe(tmp_path / "a") == seen

    def test_a_signal_that_ends_it_is_named(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", "import os; os.kill(os.getpid(), 11)"))
        seen = finish(runner, tmp_path / "a")
        assert (seen.reason, seen.exit_code) == ("exited", 139)
        assert "SIGSEGV" in seen.message

    def test_what_never_started_is_absent(self, runner: Runner, tmp_path: Path) -> None:
        assert runner.observe(tmp_path).state == "absent"
        assert runner.observe(tmp_path / "gone").state == "absent"

    def test_a_folder_that_is_gone_is_never_made_anew(self, runner: Runner, tmp_path: Path) -> None:
        gone = tmp_path / "a"
        one = attempt(gone, "")
        gone.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError):
            runner.start(one)
        with pytest.raises(FileNotFoundError):
            runner.stop(gone, 1)
        with pytest.raises(FileNotFoundError):
            runner.seal(gone)
        assert not gone.exists()

    def test_started_by_many_at_once_it_runs_once(self, runner: Runner, tmp_path: Path) -> None:
        one = attempt(tmp_path / "a", "print('ran')")
        threads = [threading.Thread(target=runner.start, args=(one,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        finish(runner, tmp_path / "a")
        runner.start(one)
        assert texts(tmp_path / "a") == ["ran"]

    def test_sealed_it_never_starts(self, runner: Runner, tmp_path: Path) -> None:
        one = attempt(tmp_path / "a", "print('ran')")
        runner.seal(tmp_path / "a")
        seen = runner.observe(tmp_path / "a")
        assert (seen.state, seen.reason, seen.started) == ("exited", "stopped", None)
        runner.start(one)
        assert runner.observe(tmp_path / "a") == seen
        assert texts(tmp_path / "a") == []

    def test_a_seal_leaves_alone_what_runs(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", "import time; time.sleep(0.2); print('done')"))
        runner.seal(tmp_path / "a")
        assert finish(runner, tmp_path / "a").reason == "exited"
        assert texts(tmp_path / "a") == ["done"]

    def test_stopped_before_it_started_it_is_sealed(self, runner: Runner, tmp_path: Path) -> None:
        one = attempt(tmp_path / "a", "print('ran')")
        runner.stop(tmp_path / "a", 1)
        runner.start(one)
        assert runner.observe(tmp_path / "a").reason == "stopped"
        assert texts(tmp_path / "a") == []

    def test_a_stop_is_a_sigterm_first(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", _OBEY_TERM))
        until(lambda: texts(tmp_path / "a") == ["ready"])
        runner.stop(tmp_path / "a", LIMIT)
        seen = finish(runner, tmp_path / "a")
        assert (seen.reason, seen.exit_code) == ("stopped", 5)
        assert texts(tmp_path / "a") == ["ready", "bye"]

    def test_what_does_not_hear_is_killed_after_the_grace(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", _IGNORE_TERM))
        until(lambda: texts(tmp_path / "a") == ["deaf"])
        begun = time.monotonic()
        runner.stop(tmp_path / "a", 0.5)
        seen = finish(runner, tmp_path / "a")
        assert (seen.reason, seen.exit_code) == ("stopped", 137)
        assert 0.4 < time.monotonic() - begun < 3.5

    def test_a_shorter_grace_counts(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", _IGNORE_TERM))
        until(lambda: texts(tmp_path / "a") == ["deaf"])
        runner.stop(tmp_path / "a", LIMIT * 2)
        runner.stop(tmp_path / "a", 0)
        assert finish(runner, tmp_path / "a").reason == "stopped"

    def test_the_deadline_ends_it(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", _IGNORE_TERM, deadline=time.time() + 0.5, grace=0.2))
        seen = finish(runner, tmp_path / "a")
        assert seen.reason == "deadline" and seen.exit_code in (137, 143)

    def test_stopped_after_its_end_it_stays_as_it_ended(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", ""))
        seen = finish(runner, tmp_path / "a")
        runner.stop(tmp_path / "a", 0)
        assert runner.observe(tmp_path / "a") == seen

    def test_nothing_it_left_behind_outlives_it(self, runner: Runner, tmp_path: Path) -> None:
        code = (
            "import os, time\nif os.fork() == 0:\n    os.setsid()\n    while True:\n"
            "        open('/proc/self/cwd/beat', 'w').write(str(time.time()))\n        time.sleep(0.02)\n"
            "while not os.path.exists('beat'): time.sleep(0.01)\n"
        )
        runner.start(attempt(tmp_path / "a", code))
        assert finish(runner, tmp_path / "a").exit_code == 0
        beat = tmp_path / "a" / "ml" / "algo-1" / "beat"
        last = beat.read_text()
        time.sleep(0.2)
        assert beat.read_text() == last

    def test_every_line_is_in_the_log_before_the_end_is_seen(self, runner: Runner, tmp_path: Path) -> None:
        code = "import sys\nfor n in range(20000): print('line', n)\nsys.stderr.write('last words')"
        runner.start(attempt(tmp_path / "a", code))
        finish(runner, tmp_path / "a")
        lines = texts(tmp_path / "a")
        assert lines == [f"line {number}" for number in range(20000)] + ["last words"]

    def test_lines_carry_times_that_never_fall_and_are_never_too_long(self, runner: Runner, tmp_path: Path) -> None:
        code = "print('10%\\r20%\\r30%'); print(); print('\\u00e4' * 300000); print('end\\tof it')"
        runner.start(attempt(tmp_path / "a", code, variables={"PYTHONIOENCODING": "utf-8"}))
        finish(runner, tmp_path / "a")
        content = (tmp_path / "a" / "log" / "algo-1.log").read_bytes().split(b"\n")
        times = [int(line.partition(b"\t")[0]) for line in content[:-1]]
        assert times == sorted(times) and content[-1] == b""
        assert all(len(line) < 256 << 10 for line in content)
        parts = [line.partition(b"\t")[2].decode() for line in content[:-1]]
        assert parts[:2] == ["10%\r20%\r30%", ""] and parts[-1] == "end\tof it"
        assert "".join(parts[2:-1]) == "ä" * 300000

    def test_a_log_over_its_cap_drops_lines_and_counts_them(self, runner: Runner, tmp_path: Path) -> None:
        capped = self.with_log_cap(runner, 10_000)
        capped.start(attempt(tmp_path / "a", "for n in range(1000): print('x' * 86)"))
        seen = finish(capped, tmp_path / "a")
        assert seen.exit_code == 0
        assert (tmp_path / "a" / "log" / "algo-1.log").stat().st_size <= 10_000
        *kept, note = texts(tmp_path / "a")
        assert len(kept) + seen.dropped_lines == 1000
        assert len(kept) > 90
        assert note == f"modelyard: {seen.dropped_lines} more lines were not kept: the log is full"

    def test_variables_arrive_and_nothing_else_of_ours(
        self, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SERVER_SECRET", "word")
        code = "import os, json; print(json.dumps(dict(os.environ)))"
        runner.start(attempt(tmp_path / "a", code, variables={"SM_X": "a=b\nc", "PATH": "/bin"}))
        finish(runner, tmp_path / "a")
        found = json.loads(texts(tmp_path / "a")[0])
        assert (found["SM_X"], found["PATH"]) == ("a=b\nc", "/bin")
        assert "SERVER_SECRET" not in found

    def test_secrets_come_by_descriptor_and_touch_neither_environment_nor_disk(
        self, runner: Runner, tmp_path: Path
    ) -> None:
        code = _READ_SECRETS + "; assert 'sesame' not in str(os.environ); import time; time.sleep(0.3)"
        runner.start(attempt(tmp_path / "a", code, secrets={"word": "sesame"}))
        until(lambda: texts(tmp_path / "a") == ["sesame"])
        written = [path for path in (tmp_path / "a").rglob("*") if path.is_file() and "log" not in path.parts]
        assert written and all(b"sesame" not in path.read_bytes() for path in written)
        assert finish(runner, tmp_path / "a").exit_code == 0

    def test_results_come_back_and_remove_keeps_records(self, runner: Runner, tmp_path: Path) -> None:
        code = "import os; os.mkdir('model/shut', 0o000); print('kept'); import sys; sys.exit(3)"
        runner.start(attempt(tmp_path / "a", code))
        seen = finish(runner, tmp_path / "a")
        assert (tmp_path / "a" / "ml" / "algo-1" / "model" / "shut").exists()
        for _ in range(2):
            runner.remove(tmp_path / "a")
            assert not (tmp_path / "a" / "ml").exists() and not (tmp_path / "a" / "out").exists()
            assert runner.observe(tmp_path / "a") == seen
            assert texts(tmp_path / "a") == ["kept"]
        runner.remove(tmp_path / "gone")

    def test_folders_that_it_closed_one_in_the_other_are_freed(self, runner: Runner, tmp_path: Path) -> None:
        code = (
            "import os\nos.makedirs('model/outer/inner/core')\nopen('model/outer/inner/core/file', 'w').close()\n"
            "for shut in ('outer/inner/core', 'outer/inner', 'outer'): os.chmod('model/' + shut, 0)"
        )
        runner.start(attempt(tmp_path / "a", code))
        assert finish(runner, tmp_path / "a").exit_code == 0
        runner.remove(tmp_path / "a")
        assert not (tmp_path / "a" / "ml").exists()

    def test_hosts_see_their_own_files_and_meet_by_name(self, runner: Runner, tmp_path: Path) -> None:
        both = ("algo-1", "algo-2")
        runner.start(attempt(tmp_path / "a", _MEET, hosts=both))
        assert finish(runner, tmp_path / "a").exit_code == 0
        assert texts(tmp_path / "a", "algo-1") == ["heard algo-2"]

    def test_one_host_that_fails_ends_the_others(self, runner: Runner, tmp_path: Path) -> None:
        code = "import sys, time\nif sys.argv[1] == 'algo-2': sys.exit(4)\ntime.sleep(60)"
        runner.start(attempt(tmp_path / "a", code, hosts=("algo-1", "algo-2", "algo-3")))
        seen = finish(runner, tmp_path / "a")
        assert (seen.reason, seen.exit_code) == ("exited", 4)
        assert "algo-2" in seen.message

    def test_another_process_adopts_it_by_looking(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", _OBEY_TERM))
        until(lambda: texts(tmp_path / "a") == ["ready"])
        other = self.with_log_cap(runner, 1 << 20)
        assert other.observe(tmp_path / "a").state == "running"
        other.stop(tmp_path / "a", LIMIT)
        assert finish(runner, tmp_path / "a").exit_code == 5
