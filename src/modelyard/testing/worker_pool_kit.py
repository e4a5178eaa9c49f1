"""The contract of core.deployments.ports.WorkerPool as tests: subclass, give the fixture ``pool``, run.

Workers run real Python for tenths of a second: they take the descriptor in MODELYARD_LISTEN_FD, make
``out/ready`` and answer each connection with what they read.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.base.disk import connect_unix
from modelyard.core.deployments.ports import WorkerObservation, WorkerPool, WorkerSpec

LIMIT = 30.0
_SETUP = """
import os, signal, socket, sys, time
listener = socket.socket(fileno=int(os.environ["MODELYARD_LISTEN_FD"]))
own = os.environ.get("MODELYARD_RUN", "/run/modelyard")
ml = os.environ.get("MODELYARD_ML", "/opt/ml")
def ready():
    open(os.path.join(own, "out", "ready"), "w").close()
"""
ECHO = (
    _SETUP
    + """
print("started", os.getpid(), flush=True)
ready()
while True:
    connection, _ = listener.accept()
    data = connection.recv(100)
    connection.sendall(open(os.path.join(ml, "model", "name")).read().encode() + b":" + data)
    connection.close()
"""
)
FAILS = _SETUP + "print('no weights', flush=True)\nsys.exit(3)\n"
SLOW = _SETUP + "time.sleep(60)\n"
DEAF = _SETUP + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\ntime.sleep(60)\n"
POLITE = (
    _SETUP
    + """
def end(*_):
    print("answered what it held", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
ready()
time.sleep(60)
"""
)


def worker(folder: Path, code: str) -> WorkerSpec:
    """A worker in a new folder, as the controller makes it, that runs Python ``code``."""
    staged = folder.parent / "staged"
    (staged / "model").mkdir(parents=True, exist_ok=True)
    (staged / "model" / "name").write_text("m1")
    folder.mkdir()
    (folder / "out").mkdir()
    (folder / "ml").symlink_to(staged)
    (folder / "worker.json").write_text("{}")
    command = (sys.executable, "-I", "-S", "-c", code)
    return WorkerSpec(f"{folder.parent.name}-{folder.name}", folder, command, {}, folder / "socket", 1.0, 1 << 30)


def until(check: Callable[[], bool], what: str) -> None:
    """Wait for ``check``."""
    end = time.monotonic() + LIMIT
    while not check():
        assert time.monotonic() < end, f"{what} did not happen within {LIMIT:.0f} s"
        time.sleep(0.005)


class WorkerPoolContract:
    """Subclass with a fixture ``pool``."""

    @pytest.fixture
    def pool(self) -> WorkerPool:
        raise NotImplementedError

    @pytest.fixture
    def place(self, pool: WorkerPool, tmp_path: Path) -> Iterator[Path]:
        """A worker's folder-to-be; whatever runs in it is ended after the test."""
        folder = tmp_path / "endpoint" / "w1"
        folder.parent.mkdir()
        yield folder
        if folder.exists():
            pool.stop(folder, 0)
            self.await_state(pool, folder, "dead")

    def await_state(self, pool: WorkerPool, folder: Path, state: str) -> WorkerObservation:
        until(lambda: pool.observe(folder).state == state, state)
        return pool.observe(folder)

    def test_a_worker_listens_sees_its_model_and_says_ready(self, pool: WorkerPool, place: Path) -> None:
        spec = worker(place, ECHO)
        pool.start(spec)
        self.await_state(pool, place, "ready")
        with connect_unix(spec.socket, timeout=10) as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"m1:hello"

    def test_a_worker_that_loads_is_starting(self, pool: WorkerPool, place: Path) -> None:
        assert pool.observe(place).state == "absent"
        pool.start(worker(place, SLOW))
        self.await_state(pool, place, "starting")

    def test_a_worker_that_ends_is_dead_and_its_last_lines_are_quoted(self, pool: WorkerPool, place: Path) -> None:
        pool.start(worker(place, FAILS))
        assert self.await_state(pool, place, "dead").message.endswith("no weights")
        assert (place / "log").read_text().rstrip().endswith("\tno weights")

    def test_however_often_it_is_started_it_runs_once(self, pool: WorkerPool, place: Path) -> None:
        spec = worker(place, ECHO)
        threads = [threading.Thread(target=pool.start, args=(spec,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.await_state(pool, place, "ready")
        pool.start(spec)
        assert (place / "log").read_text().count("started") == 1

    def test_a_stopped_worker_ends_politely(self, pool: WorkerPool, place: Path) -> None:
        pool.start(worker(place, POLITE))
        self.await_state(pool, place, "ready")
        pool.stop(place, 20)
        self.await_state(pool, place, "dead")
        assert "answered what it held" in (place / "log").read_text()

    def test_a_deaf_worker_is_killed_after_the_grace(self, pool: WorkerPool, place: Path) -> None:
        pool.start(worker(place, DEAF))
        self.await_state(pool, place, "ready")
        began = time.monotonic()
        pool.stop(place, 0.5)
        self.await_state(pool, place, "dead")
        assert 0.4 < time.monotonic() - began < 10

    def test_a_shorter_grace_overtakes_a_longer_one(self, pool: WorkerPool, place: Path) -> None:
        pool.start(worker(place, DEAF))
        self.await_state(pool, place, "ready")
        pool.stop(place, 60)
        pool.stop(place, 0)
        self.await_state(pool, place, "dead")

    def test_what_is_stopped_before_it_starts_never_runs(self, pool: WorkerPool, place: Path) -> None:
        spec = worker(place, ECHO)
        pool.stop(place, 0)
        pool.start(spec)
        assert self.await_state(pool, place, "dead").state == "dead"
        assert not (place / "out" / "ready").exists()

    def test_a_folder_that_is_gone_is_never_made_anew(self, pool: WorkerPool, place: Path) -> None:
        spec = worker(place, ECHO)
        shutil.rmtree(place)
        with pytest.raises(FileNotFoundError):
            pool.start(spec)
        with pytest.raises(FileNotFoundError):
            pool.stop(place, 0)
        assert not place.exists()
        assert pool.observe(place).state == "absent"

    def test_a_dead_worker_is_removed_and_its_model_stays(self, pool: WorkerPool, place: Path) -> None:
        pool.start(worker(place, FAILS))
        self.await_state(pool, place, "dead")
        pool.remove(place)
        pool.remove(place)
        assert not place.exists()
        assert (place.parent / "staged" / "model" / "name").read_text() == "m1"
