"""ProcessRunner keeps the runner's contract, in a sandbox where the machine gives one, and without."""

import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.core.jobs.ports import Runner
from modelyard.runners.process import landlock
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner
from modelyard.testing.runner_kit import RunnerContract, attempt, finish, texts, until


def no_sandbox(command: tuple[str, ...]) -> SandboxReport:
    return SandboxReport("none", ("namespaces are refused",), "Allow them.")


class TestSandboxed(RunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> ProcessRunner:
        self.rules = Rules(COMMAND, hidden=(tmp_path,), server_lock=tmp_path / "server.lock")
        return ProcessRunner(self.rules, RealDisk(), SystemClock())

    def with_log_cap(self, runner: Runner, log_bytes: int) -> ProcessRunner:
        return ProcessRunner(replace(self.rules, log_bytes=log_bytes), RealDisk(), SystemClock())

    def test_the_job_sees_the_published_paths(self, runner: ProcessRunner, tmp_path: Path) -> None:
        one = attempt(
            tmp_path / "a", "import os; print(os.getcwd(), sorted(os.listdir('/run/modelyard')), os.getuid())"
        )
        (tmp_path / "a" / "worker.json").write_text("{}")
        runner.start(one)
        finish(runner, tmp_path / "a")
        assert texts(tmp_path / "a") == ["/opt/ml ['out', 'worker.json'] 1000"]

    def test_hosts_without_a_network_still_meet(self, runner: ProcessRunner, tmp_path: Path) -> None:
        code = (
            "import socket, sys, time\nhost = sys.argv[1]\n"
            "if host == 'algo-1':\n    print(socket.create_server(('algo-1', 7777)).accept()[0].recv(9).decode())\n"
            "while host == 'algo-2':\n"
            "    try:\n        socket.create_connection(('algo-1', 7777)).sendall(b'hello')\n        break\n"
            "    except ConnectionRefusedError:\n        time.sleep(0.01)\n"
        )
        runner.start(attempt(tmp_path / "a", code, hosts=("algo-1", "algo-2"), network=False))
        assert finish(runner, tmp_path / "a").exit_code == 0
        assert texts(tmp_path / "a") == ["hello"]

    def test_a_sandbox_that_cannot_be_made_is_refused_by_name(self, runner: ProcessRunner, tmp_path: Path) -> None:
        one = attempt(tmp_path / "a", "", readable=(tmp_path / "missing",))
        runner.start(one)
        seen = finish(runner, tmp_path / "a")
        assert (seen.state, seen.reason, seen.started) == ("exited", "refused", None)
        assert "missing" in seen.message

    def test_a_command_that_is_not_there_is_refused_by_name(self, runner: ProcessRunner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", "", command=("/no/such/program",)))
        seen = finish(runner, tmp_path / "a")
        assert seen.reason == "refused"
        assert "/no/such/program" in seen.message


class TestWithoutSandbox(RunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> ProcessRunner:
        self.rules = Rules(COMMAND, hidden=(tmp_path,), server_lock=tmp_path / "server.lock", probe=no_sandbox)
        return ProcessRunner(self.rules, RealDisk(), SystemClock())

    def with_log_cap(self, runner: Runner, log_bytes: int) -> ProcessRunner:
        return ProcessRunner(replace(self.rules, log_bytes=log_bytes), RealDisk(), SystemClock())

    def test_hosts_see_their_own_files_and_meet_by_name(self, runner: Runner, tmp_path: Path) -> None:
        """Without mounts there is no /etc/hosts of one's own: hosts get their own files, names do not resolve."""
        code = "import os, sys; print(os.environ['MODELYARD_ML'].endswith(sys.argv[1]))"
        runner.start(attempt(tmp_path / "a", code, hosts=("algo-1", "algo-2")))
        assert finish(runner, tmp_path / "a").exit_code == 0
        assert texts(tmp_path / "a") == texts(tmp_path / "a", "algo-2") == ["True"]

    def test_a_job_that_must_not_use_the_network_is_refused(self, runner: Runner, tmp_path: Path) -> None:
        runner.start(attempt(tmp_path / "a", "print('ran')", network=False))
        seen = finish(runner, tmp_path / "a")
        assert seen.reason == "refused"
        assert "allow_unsandboxed" in seen.message and "namespaces are refused" in seen.message
        assert texts(tmp_path / "a") == []

    def test_a_setting_allows_it(self, runner: ProcessRunner, tmp_path: Path) -> None:
        allowing = ProcessRunner(replace(self.rules, allow_unsandboxed=True), RealDisk(), SystemClock())
        allowing.start(attempt(tmp_path / "a", "print('ran')", network=False))
        assert finish(allowing, tmp_path / "a").exit_code == 0
        assert texts(tmp_path / "a") == ["ran"]


@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_the_interpreters_configuration_of_pip_is_no_jobs_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    if tier == "landlock" and landlock.abi() == 0:
        pytest.skip("this kernel has no Landlock")
    prefix = tmp_path / "prefix"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "lib" / "module.py").write_text("seen")
    (prefix / "pip.conf").write_text("extra-index-url = https://me:sesame@index.invalid/simple")
    (prefix / ".condarc").symlink_to(prefix / "lib" / "condarc")
    (prefix / "lib" / "condarc").write_text("sesame")
    real = Path(sys.prefix)
    rules = Rules(COMMAND, hidden=(tmp_path / "data",), server_lock=tmp_path / "server.lock")
    if tier == "landlock":
        rules = replace(rules, probe=only_landlock)
    assert rules.report().tier == tier
    code = (
        f"import os\nfor name in ('pip.conf', '.condarc', 'lib/condarc', 'lib/module.py'):\n"
        f"    try:\n        print(name, repr(open({str(prefix)!r} + '/' + name).read()))\n"
        "    except PermissionError:\n        print(name, 'refused')"
    )
    one = attempt(tmp_path / "a", code, readable=(real, prefix))
    monkeypatch.setattr(sys, "prefix", str(prefix))
    runner = ProcessRunner(rules, RealDisk(), SystemClock())
    runner.start(one)
    finish(runner, tmp_path / "a")
    said = "''" if tier == "bubblewrap" else "refused"
    expected = [f"{name} {said}" for name in ("pip.conf", ".condarc", "lib/condarc")]
    assert texts(tmp_path / "a") == [*expected, "lib/module.py 'seen'"]


class TestLink:
    """Without a sandbox: the absolute path that a job's command names leads to its files, for one job at a time."""

    CODE = "import sys, time\nopen(sys.argv[2] + '/model/name', 'a').write(sys.argv[3])\nprint('in', flush=True)\n"

    @pytest.fixture(params=["none", "landlock"])
    def runner(self, request: pytest.FixtureRequest, tmp_path: Path) -> ProcessRunner:
        if request.param == "landlock" and landlock.abi() == 0:
            pytest.skip("this kernel has no Landlock")
        self.link = tmp_path / "opt" / "ml"
        self.link.parent.mkdir()
        tier = no_sandbox if request.param == "none" else only_landlock
        rules = Rules(COMMAND, (tmp_path,), tmp_path / "server.lock", probe=tier, link=str(self.link))
        return ProcessRunner(rules, RealDisk(), SystemClock())

    def start(self, runner: ProcessRunner, folder: Path, then: str = "", **given: Any) -> None:
        code = f"{self.CODE}{then}"
        command = (sys.executable, "-I", "-S", "-c", code, "{host}", str(self.link), folder.name)
        runner.start(attempt(folder, "", command=command, fixed_paths=True, **given))

    def test_the_path_leads_to_the_jobs_files_while_it_runs(self, runner: ProcessRunner, tmp_path: Path) -> None:
        self.start(runner, tmp_path / "a")
        assert finish(runner, tmp_path / "a").exit_code == 0
        assert (tmp_path / "a" / "ml" / "algo-1" / "model" / "name").read_text() == "a"
        assert not self.link.is_symlink()

    def test_of_two_at_once_the_second_waits(self, runner: ProcessRunner, tmp_path: Path) -> None:
        names = ("a", "b")
        for name in names:
            self.start(runner, tmp_path / name, "time.sleep(0.7)")
        ended = [finish(runner, tmp_path / name) for name in names]
        assert [one.exit_code for one in ended] == [0, 0]
        assert [(tmp_path / name / "ml/algo-1/model/name").read_text() for name in names] == ["a", "b"]
        assert abs((ended[0].ended or 0) - (ended[1].ended or 0)) > 0.5

    def test_one_that_waits_can_be_stopped_and_its_time_can_be_over(
        self, runner: ProcessRunner, tmp_path: Path
    ) -> None:
        self.start(runner, tmp_path / "a", "time.sleep(60)")
        until(lambda: texts(tmp_path / "a"))
        self.start(runner, tmp_path / "b")
        self.start(runner, tmp_path / "c", deadline=time.time() + 0.2)
        assert finish(runner, tmp_path / "c").reason == "deadline"
        for name in ("b", "a"):
            runner.stop(tmp_path / name, 0)
            assert finish(runner, tmp_path / name).reason == "stopped"
        assert texts(tmp_path / "b") == texts(tmp_path / "c") == []

    def test_a_link_that_a_killed_supervisor_left_is_replaced(self, runner: ProcessRunner, tmp_path: Path) -> None:
        self.start(runner, tmp_path / "a", "time.sleep(60)")
        until(lambda: texts(tmp_path / "a"))
        os.kill(json.loads((tmp_path / "a" / "started").read_text())["pid"], signal.SIGKILL)
        assert finish(runner, tmp_path / "a").state == "lost"
        assert self.link.is_symlink()
        self.start(runner, tmp_path / "b")
        assert finish(runner, tmp_path / "b").exit_code == 0

    @pytest.mark.parametrize("theirs", ["a folder", "a link", "no way to make it"])
    def test_where_it_cannot_be_made_the_job_is_refused(
        self, runner: ProcessRunner, tmp_path: Path, theirs: str
    ) -> None:
        if theirs == "a folder":
            self.link.mkdir()
        elif theirs == "a link":
            (tmp_path / "theirs").mkdir()
            self.link.symlink_to(tmp_path / "theirs")
        else:
            self.link.parent.rmdir()
        self.start(runner, tmp_path / "a")
        seen = finish(runner, tmp_path / "a")
        assert seen.reason == "refused" and texts(tmp_path / "a") == []
        assert f"{self.link}, which the job's command needs, cannot be made" in seen.message
        if theirs == "a link":
            assert self.link.readlink() == tmp_path / "theirs"

    def test_several_hosts_are_refused(self, runner: ProcessRunner, tmp_path: Path) -> None:
        self.start(runner, tmp_path / "a", hosts=("algo-1", "algo-2"))
        assert "cannot lead each host to its own files" in finish(runner, tmp_path / "a").message


def only_landlock(command: tuple[str, ...]) -> SandboxReport:
    return SandboxReport("landlock", ("namespaces are refused.",), "Allow them.")


@pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")
class TestUnderLandlock(RunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> ProcessRunner:
        self.rules = Rules(COMMAND, hidden=(tmp_path,), server_lock=tmp_path / "server.lock", probe=only_landlock)
        return ProcessRunner(self.rules, RealDisk(), SystemClock())

    def with_log_cap(self, runner: Runner, log_bytes: int) -> ProcessRunner:
        return ProcessRunner(replace(self.rules, log_bytes=log_bytes), RealDisk(), SystemClock())

    def test_hosts_see_their_own_files_and_meet_by_name(self, runner: Runner, tmp_path: Path) -> None:
        """As without a sandbox; and not the files of one another."""
        code = (
            "import os, sys\nassert os.environ['MODELYARD_ML'].endswith(sys.argv[1])\n"
            "other = os.environ['MODELYARD_ML'][:-1] + ('2' if sys.argv[1] == 'algo-1' else '1')\n"
            "try:\n    print(os.listdir(other))\nexcept PermissionError:\n    print('refused')"
        )
        runner.start(attempt(tmp_path / "a", code, hosts=("algo-1", "algo-2")))
        assert finish(runner, tmp_path / "a").exit_code == 0
        assert texts(tmp_path / "a") == texts(tmp_path / "a", "algo-2") == ["refused"]

    def test_files_outside_and_capabilities_are_gone(self, runner: Runner, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("sesame")
        code = (
            "import os\n"
            f"for path, mode in (({str(tmp_path / 'secret')!r}, 'r'), ({str(tmp_path / 'made')!r}, 'w'), "
            "('/etc/shadow', 'r'), ('/proc/sys/kernel/core_pattern', 'a'), ('/proc/1/environ', 'r')):\n"
            "    try:\n        open(path, mode).close(); print('opened', path)\n    except PermissionError: pass\n"
            "held = [line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapPrm'))]\n"
            "print(held)\nopen(os.environ['MODELYARD_ML'] + '/model/made', 'w').close(); import numpy; print('ran')"
        )
        command = (sys.executable, "-c", code)
        runner.start(attempt(tmp_path / "a", "", command=command, readable=(Path(sys.prefix),)))
        seen = finish(runner, tmp_path / "a")
        assert texts(tmp_path / "a") == ["['0000000000000000', '0000000000000000']", "ran"], seen

    def test_without_leave_what_must_not_use_the_network_is_refused(
        self, runner: ProcessRunner, tmp_path: Path
    ) -> None:
        runner.start(attempt(tmp_path / "a", "print('ran')", network=False))
        seen = finish(runner, tmp_path / "a")
        assert seen.reason == "refused" and "only Landlock" in seen.message and "allow_unsandboxed" in seen.message

    @pytest.mark.skipif(landlock.abi() < 4, reason="this kernel's Landlock knows nothing of TCP")
    def test_with_leave_it_gets_no_tcp(self, runner: ProcessRunner, tmp_path: Path) -> None:
        allowing = ProcessRunner(replace(self.rules, allow_unsandboxed=True), RealDisk(), SystemClock())
        code = (
            "import socket\nfor use in (lambda: socket.create_connection(('127.0.0.1', PORT)), "
            "lambda: socket.create_server(('127.0.0.1', 0))):\n"
            "    try:\n        use(); print('used')\n    except PermissionError:\n        print('refused')"
        )
        with socket.create_server(("127.0.0.1", 0)) as server:
            code = code.replace("PORT", str(server.getsockname()[1]))
            allowing.start(attempt(tmp_path / "a", code, network=False))
            finish(allowing, tmp_path / "a")
            assert texts(tmp_path / "a") == ["refused", "refused"]
            allowing.start(attempt(tmp_path / "b", code))
            finish(allowing, tmp_path / "b")
            assert texts(tmp_path / "b") == ["used", "used"]
