"""ProcessRunner keeps the runner's contract, in a sandbox where the machine gives one, and without."""

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.app.supervisor import COMMAND
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.core.jobs.ports import Runner
from modelyard.runners.process import landlock
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import Rules
from modelyard.runners.process.runner import ProcessRunner
from modelyard.testing.runner_kit import RunnerContract, attempt, finish, texts


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
