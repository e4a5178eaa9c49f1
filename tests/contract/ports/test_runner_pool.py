"""ProcessPool keeps the worker pool's contract: workers that answer on a socket, without a network."""

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
from modelyard.base.disk import RealDisk, connect_unix, try_lock
from modelyard.base.errors import Conflict, Unavailable
from modelyard.core.deployments.ports import WorkerObservation, WorkerSpec
from modelyard.runners.process.pool import ProcessPool
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import Rules
from modelyard.testing.runner_kit import until

ECHO = """
import os, signal, socket, sys
listener = socket.socket(fileno=int(os.environ["MODELYARD_LISTEN_FD"]))
signal.signal(signal.SIGTERM, lambda *_: (print("told to end", flush=True), sys.exit(0)))
print("loading", flush=True)
open("/run/modelyard/out/ready", "w").close()
while True:
    one = listener.accept()[0]
    one.sendall(one.recv(100).upper())
    one.close()
"""
FAILS = "print('reading the model', flush=True); raise SystemExit('this is no model')"
LOADER = """
def load(name):
    opened = [name for name in [name]]
    raise ValueError(f"{name} is no model\\n  it is a teapot")
"""


class TestPool:
    @pytest.fixture
    def pool(self, tmp_path: Path) -> ProcessPool:
        self.rules = Rules(COMMAND, hidden=(tmp_path,), server_lock=tmp_path / "server.lock")
        return self.with_rules()

    def with_rules(self, **given: Any) -> ProcessPool:
        return ProcessPool(replace(self.rules, **given), RealDisk(), SystemClock())

    def worker(self, folder: Path, code: str, **given: Any) -> WorkerSpec:
        (folder / "ml" / "model").mkdir(parents=True)
        (folder / "out").mkdir()
        (folder / "worker.json").write_text(json.dumps({"model": "m"}))
        command = (sys.executable, "-I", "-S", "-c", code)
        fields: dict[str, Any] = {"variables": {}, "cpus": 1.0, "memory": 512 << 20, "socket": folder / "socket"}
        return WorkerSpec(id=folder.name, folder=folder, command=command, **(fields | given))

    def dead(self, pool: ProcessPool, folder: Path) -> WorkerObservation:
        until(lambda: pool.observe(folder).state == "dead")
        return pool.observe(folder)

    def ask(self, path: Path, text: bytes) -> bytes:
        with connect_unix(path, 5) as connection:
            connection.sendall(text)
            return connection.recv(100)

    def test_a_worker_answers_on_its_socket(self, pool: ProcessPool, tmp_path: Path) -> None:
        assert pool.observe(tmp_path / "w").state == "absent"
        one = self.worker(tmp_path / "w", ECHO)
        assert pool.observe(tmp_path / "w").state == "absent"
        pool.start(one)
        pool.start(one)
        until(lambda: pool.observe(tmp_path / "w").state == "ready")
        assert self.ask(one.socket, b"hello") == b"HELLO"
        assert one.socket.stat().st_mode & 0o777 == 0o600
        pool.stop(tmp_path / "w", 10)
        assert "stopped" in self.dead(pool, tmp_path / "w").message
        lines = (tmp_path / "w" / "log").read_text().splitlines()
        assert [line.partition("\t")[2] for line in lines] == ["loading", "told to end"]

    def test_connections_wait_until_the_model_is_loaded(self, pool: ProcessPool, tmp_path: Path) -> None:
        one = self.worker(tmp_path / "w", "import time; time.sleep(0.3)\n" + ECHO)
        pool.start(one)
        assert pool.observe(tmp_path / "w").state == "starting"
        until((tmp_path / "w" / "processes").exists)
        assert self.ask(one.socket, b"early") == b"EARLY"
        pool.stop(tmp_path / "w", 0)

    def test_a_dead_worker_quotes_its_last_lines(self, pool: ProcessPool, tmp_path: Path) -> None:
        pool.start(self.worker(tmp_path / "w", FAILS))
        message = self.dead(pool, tmp_path / "w").message
        assert message.endswith("exit code 1: reading the model\nthis is no model")

    def test_what_a_worker_could_not_load_is_named_with_its_place(self, pool: ProcessPool, tmp_path: Path) -> None:
        code = "import sys; sys.path.insert(0, '/opt/ml/model'); import loader; loader.load('weights')"
        one = self.worker(tmp_path / "w", code)
        (tmp_path / "w" / "ml" / "model" / "loader.py").write_text(LOADER)
        pool.start(one)
        assert self.dead(pool, tmp_path / "w").message.endswith(
            "exit code 1: ValueError: weights is no model\n  it is a teapot "
            '(File "/opt/ml/model/loader.py", line 4, in load)'
        )

    def test_a_worker_whose_supervisor_is_killed_is_dead(self, pool: ProcessPool, tmp_path: Path) -> None:
        pool.start(self.worker(tmp_path / "w", ECHO))
        until(lambda: pool.observe(tmp_path / "w").state == "ready")
        os.kill(json.loads((tmp_path / "w" / "started").read_text())["pid"], signal.SIGKILL)
        assert "loading" in self.dead(pool, tmp_path / "w").message
        with pytest.raises(OSError):
            self.ask(tmp_path / "w" / "socket", b"hello")

    def test_a_worker_that_takes_too_much_memory_is_named(self, pool: ProcessPool, tmp_path: Path) -> None:
        hog = "import time\nheld = []\nwhile True: held.append(bytearray(8 << 20)); time.sleep(0.005)"
        pool.start(self.worker(tmp_path / "w", hog, memory=100 << 20))
        assert "ran out of memory" in self.dead(pool, tmp_path / "w").message

    def test_sealed_it_never_starts(self, pool: ProcessPool, tmp_path: Path) -> None:
        one = self.worker(tmp_path / "w", ECHO)
        pool.stop(tmp_path / "w", 1)
        assert pool.observe(tmp_path / "w").state == "dead"
        pool.start(one)
        assert not (tmp_path / "w" / "log").exists()

    def test_a_folder_that_is_gone_is_never_made_anew(self, pool: ProcessPool, tmp_path: Path) -> None:
        one = self.worker(tmp_path / "w", ECHO)
        (tmp_path / "w").rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError):
            pool.start(one)
        with pytest.raises(FileNotFoundError):
            pool.stop(tmp_path / "w", 1)
        assert not (tmp_path / "w").exists()

    def test_remove_deletes_the_folder_of_a_dead_worker_only(self, pool: ProcessPool, tmp_path: Path) -> None:
        model = tmp_path / "shared" / "model"
        model.mkdir(parents=True)
        one = self.worker(tmp_path / "w", ECHO)
        (tmp_path / "w" / "ml" / "model").rmdir()
        (tmp_path / "w" / "ml").rmdir()
        (tmp_path / "w" / "ml").symlink_to(tmp_path / "shared")
        pool.start(one)
        with pytest.raises(Conflict):
            pool.remove(tmp_path / "w")
        pool.stop(tmp_path / "w", 0)
        self.dead(pool, tmp_path / "w")
        for _ in range(2):
            pool.remove(tmp_path / "w")
            assert not (tmp_path / "w").exists() and model.is_dir()

    def test_the_model_is_read_only_and_readable(self, pool: ProcessPool, tmp_path: Path) -> None:
        code = (
            "import os\nprint(open('/opt/ml/model/weights').read(), open('/run/modelyard/worker.json').read())\n"
            "try: open('/opt/ml/model/weights', 'a')\nexcept OSError as error: print(error.strerror)\n"
        )
        one = self.worker(tmp_path / "w", code)
        weights = tmp_path / "w" / "ml" / "model" / "weights"
        weights.write_text("0.5")
        weights.chmod(0o600)
        pool.start(one)
        message = self.dead(pool, tmp_path / "w").message
        assert '0.5 {"model": "m"}\nRead-only file system' in message

    def test_a_worker_ends_when_no_server_comes_back(self, pool: ProcessPool, tmp_path: Path) -> None:
        impatient = self.with_rules(patience=0.6)
        lock = try_lock(tmp_path / "server.lock")
        assert lock is not None
        for name in ("a", "b"):
            impatient.start(self.worker(tmp_path / name, ECHO))
            until(lambda name=name: pool.observe(tmp_path / name).state == "ready")
        time.sleep(1.5)
        assert pool.observe(tmp_path / "a").state == pool.observe(tmp_path / "b").state == "ready"
        os.close(lock)
        for name in ("a", "b"):
            assert "no server came back" in self.dead(pool, tmp_path / name).message

    def test_long_paths_are_no_matter(self, pool: ProcessPool, tmp_path: Path) -> None:
        folder = tmp_path / ("long" * 30) / "w"
        one = self.worker(folder, ECHO)
        pool.start(one)
        until(lambda: pool.observe(folder).state == "ready")
        assert self.ask(one.socket, b"hello") == b"HELLO"
        pool.stop(folder, 0)

    def test_without_a_sandbox_models_are_refused_unless_a_setting_allows(
        self, pool: ProcessPool, tmp_path: Path
    ) -> None:
        def probe(command: tuple[str, ...]) -> SandboxReport:
            return SandboxReport("none", ("namespaces are refused",), "Allow them.")

        code = "import os\nprint(os.environ['MODELYARD_RUN'], flush=True)\n"
        code += "open(os.environ['MODELYARD_OUT'] + '/ready', 'w')\n"
        one = self.worker(tmp_path / "w", code + "import time; time.sleep(60)")
        with pytest.raises(Unavailable, match=r"namespaces are refused.*allow_unsandboxed"):
            self.with_rules(probe=probe).start(one)
        assert pool.observe(tmp_path / "w").state == "absent"
        allowing = self.with_rules(probe=probe, allow_unsandboxed=True)
        allowing.start(one)
        until(lambda: allowing.observe(tmp_path / "w").state == "ready")
        allowing.stop(tmp_path / "w", 0)
        assert str(tmp_path / "w") in self.dead(allowing, tmp_path / "w").message

    def test_the_socket_is_all_that_leads_in_or_out(self, pool: ProcessPool, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
            pool.start(self.worker(tmp_path / "w", code))
            assert "ConnectionRefusedError" in self.dead(pool, tmp_path / "w").message
