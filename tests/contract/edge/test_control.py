"""The server and its front: states pushed and taken, reports heard, whoever dies and comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from modelyard.base.clock import SteppedClock, SystemClock
from modelyard.base.disk import is_locked, try_lock
from modelyard.base.errors import Unavailable
from modelyard.core.deployments.ports import Route, VariantRoute
from modelyard.edge.commands import ServerEar
from modelyard.edge.control import FrontControl
from modelyard.edge.front import Listening
from modelyard.edge.launch import FrontLauncher, FrontOptions
from modelyard.edge.limits import FrontLimits
from modelyard.edge.state import Access, FrontState, from_json, to_json
from modelyard.testing.server import free_port

from .conftest import echo
from .harness import KEY, LoopThread, Raw, Server, Worker, routed, until
from .test_predictions import invocation

ROUTE = Route("iris", "id-iris", (VariantRoute("A", 1.0, ("/run/w",)),))


class Rushing(SteppedClock):
    """A second passes whenever somebody looks."""

    def monotonic(self):
        self.step(1)
        return super().monotonic()


class Ear:
    """A front's ear in a loop of its own, holding the front's lock."""

    def __init__(self, run, clock=None, patience=900.0):
        self.states = []
        self.closed = False
        self.lock = try_lock(run / "front.lock")
        self.thread = LoopThread()
        self.ear = ServerEar(run / "front.sock", self.states.append, clock or SystemClock(), patience)
        self.thread.call(self.ear.listen)

    def close(self):
        self.closed = True
        self.thread.call(self.ear.close)
        self.thread.close()
        os.close(self.lock)


@pytest.fixture
def ear(run):
    made = Ear(run)
    yield made
    if not made.closed:
        made.close()


@pytest.fixture
def told():
    return []


@pytest.fixture
def control(run, told):
    made = FrontControl(run, lambda *what: told.append(what), SystemClock())
    made.start()
    yield made
    made.stop()


def test_a_state_survives_its_wire_form():
    access = Access(hosts=("a",), origins=("b",), anonymous=False, sandbox_uids=(1,))
    state = routed(VariantRoute("A", 0.5, ("x", "y")), limits=FrontLimits(queue_bytes=1), access=access)
    assert from_json(json.loads(json.dumps(to_json(state)))) == state


def test_publish_returns_when_the_front_has_taken_it(ear, control):
    control.set_credentials([KEY])
    control.configure(FrontLimits(queue_requests=5), Access(hosts=("h",)))
    control.publish([ROUTE])
    expected = FrontState((ROUTE,), (KEY,), FrontLimits(queue_requests=5), Access(hosts=("h",)))
    assert ear.states[-1] == expected


def test_without_a_front_publish_returns_at_once_and_the_next_front_gets_it(run, control):
    before = time.monotonic()
    control.publish([ROUTE])
    assert time.monotonic() - before < 2
    ear = Ear(run)
    until(lambda: ear.states == [FrontState((ROUTE,))])
    ear.close()


def test_a_new_server_tells_a_living_front_nothing_until_it_knows_all_that_is_needed(run, ear):
    control = FrontControl(run, lambda *what: None, SystemClock(), needed=("credentials", "routes"))
    control.start()
    control.set_credentials([KEY])
    control.configure(FrontLimits(queue_requests=5), Access())
    assert ear.states == []
    control.publish([ROUTE])
    assert ear.states == [FrontState((ROUTE,), (KEY,), FrontLimits(queue_requests=5), Access())]
    control.stop()


def test_a_new_server_says_nothing_until_it_knows_all(run, ear):
    """What an adopted front knows is not wiped by a server that has only begun to look."""
    control = FrontControl(run, lambda *what: None, SystemClock(), needed=("routes", "credentials"))
    control.start()
    control.configure(FrontLimits(), Access())
    control.set_credentials([KEY])
    assert not ear.states
    control.publish([ROUTE])
    assert ear.states == [FrontState((ROUTE,), (KEY,))]
    control.stop()


def test_a_front_that_lives_but_does_not_take_it_is_an_error(run, told):
    lock = try_lock(run / "front.lock")
    control = FrontControl(run, lambda *what: None, Rushing())
    control.start()
    with pytest.raises(Unavailable):
        control.publish([ROUTE])
    control.stop()
    os.close(lock)


def test_a_front_that_comes_back_is_told_everything(run, ear, control):
    control.set_credentials([KEY])
    control.publish([ROUTE])
    ear.close()
    again = Ear(run)
    until(lambda: again.states)
    assert again.states[-1] == FrontState((ROUTE,), (KEY,))
    control.publish([])
    assert again.states[-1].routes == ()
    again.close()


def test_a_hung_worker_is_reported_to_every_server_until_it_is_gone(run, ear, control, told):
    control.publish([ROUTE])
    ear.thread.call(ear.ear.report_hung, "id-iris", "/run/w")
    until(lambda: told == [("id-iris", "/run/w")])
    control.stop()
    again = []
    second = FrontControl(run, lambda *what: again.append(what), SystemClock())
    second.start()
    until(lambda: again == [("id-iris", "/run/w")])
    second.publish([])
    second.stop()
    third_told = []
    third = FrontControl(run, lambda *what: third_told.append(what), SystemClock())
    third.start()
    third.publish([ROUTE])
    third.stop()
    assert third_told == []


def test_the_newest_server_counts(run, ear, control):
    control.publish([ROUTE])
    second = FrontControl(run, lambda *what: None, SystemClock())
    second.start()
    second.publish([])
    control.stop()
    second.publish([replace(ROUTE, endpoint="other")])
    assert ear.states[-1].routes[0].endpoint == "other"
    second.stop()


def test_nonsense_ends_the_connection_and_nothing_else(run, ear):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(run / "front.sock"))
        sock.sendall(b'{"type": "state", "number": 1, "state": {}}\n')
        sock.settimeout(5)
        assert sock.recv(10) == b""
    control = FrontControl(run, lambda *what: None, SystemClock())
    control.start()
    control.publish([ROUTE])
    control.stop()
    assert ear.states[-1].routes == (ROUTE,)
    assert (run / "front.sock").stat().st_mode & 0o777 == 0o600


def test_a_front_without_a_server_is_forsaken_after_its_patience(run):
    clock = SteppedClock()
    ear = Ear(run, clock, patience=900.0)
    clock.step(899)
    assert not ear.ear.is_forsaken
    control = FrontControl(run, lambda *what: None, SystemClock())
    control.start()
    control.publish([])
    clock.step(5000)
    assert not ear.ear.is_forsaken
    control.stop()
    until(lambda: ear.ear._connection is None)
    clock.step(901)
    assert ear.ear.is_forsaken
    ear.close()


class TestProcess:
    """Real front processes."""

    @pytest.fixture
    def options(self, run):
        return FrontOptions(run, Listening(port=free_port()), patience=60.0)

    @pytest.fixture
    def launcher(self, options):
        made = FrontLauncher(options, SystemClock())
        yield made
        made.stop()

    def ask(self, options, data):
        with Raw(socket.create_connection(("127.0.0.1", options.listening.port), 20)) as raw:
            raw.send(data)
            return raw.read()

    def test_a_front_outlives_its_server_and_is_adopted(self, run, options, control, launcher):
        starter = subprocess.run(
            [
                sys.executable,
                "-c",
                "import json, sys; from modelyard.edge.launch import *; from modelyard.base.clock import SystemClock;"
                "print(FrontLauncher(FrontOptions.from_json(json.loads(sys.argv[1])), SystemClock()).ensure())",
                json.dumps(options.to_json()),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert starter.stdout == "True\n"
        pid = int((run / "front.pid").read_text())
        worker = Worker(run / "w.sock")
        control.set_credentials([KEY])
        control.publish([Route("iris", "id-iris", (worker.route(),))])
        assert not launcher.ensure()
        assert launcher.address == ("127.0.0.1", options.listening.port)
        assert int((run / "front.pid").read_text()) == pid
        assert self.ask(options, invocation()).body == b"2,1"
        assert self.ask(options, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 503
        server = Server(echo, run / "server.sock")
        assert self.ask(options, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200
        server.close()
        assert self.ask(options, invocation()).body == b"2,1"
        worker.close()

    def test_a_killed_front_is_back_within_a_second_and_knows_all(self, run, options, control, launcher):
        launcher.ensure()
        worker = Worker(run / "w.sock")
        control.set_credentials([KEY])
        control.publish([Route("iris", "id-iris", (worker.route(),))])
        pid = int((run / "front.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_locked(run / "front.lock"))
        began = time.monotonic()
        assert launcher.ensure()
        assert time.monotonic() - began < 3
        until(lambda: self.ask(options, invocation()).body == b"2,1")
        worker.close()

    def test_a_port_in_use_is_said_clearly(self, options):
        with socket.create_server(("127.0.0.1", options.listening.port)), pytest.raises(Unavailable) as caught:
            FrontLauncher(options, SystemClock()).ensure()
        assert f"port {options.listening.port} of 127.0.0.1 is in use" in caught.value.message
        assert not is_locked(options.run / "front.lock")

    def test_a_certificate_that_is_none_is_said_clearly(self, run, options):
        (run / "cert.pem").write_text("nonsense")
        listening = replace(options.listening, tls_cert=run / "cert.pem", tls_key=run / "cert.pem")
        with pytest.raises(Unavailable) as caught:
            FrontLauncher(replace(options, listening=listening), SystemClock()).ensure()
        assert "cert.pem" in caught.value.message

    def test_a_front_that_listens_elsewhere_is_replaced(self, run, options, launcher):
        launcher.ensure()
        moved = FrontLauncher(replace(options, listening=Listening(port=free_port())), SystemClock())
        assert moved.ensure()
        assert moved.address[1] != options.listening.port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", options.listening.port))
        moved.stop()
        assert not is_locked(run / "front.lock")
        moved.stop()

    def test_a_front_that_does_not_listen_in_time_is_ended(self, run, options):
        silent = "import os, sys, time; open('started', 'w').write(str(os.getpid())); time.sleep(600)"
        launcher = FrontLauncher(
            options, Rushing(), (sys.executable, "-c", silent.replace("started", f"{run}/started"))
        )
        until(lambda: self.refused(launcher) and (run / "started").exists() and (run / "started").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(int((run / "started").read_text()), 0)

    def refused(self, launcher):
        with pytest.raises(Unavailable, match="the front did not start; see"):
            launcher.ensure()
        return True

    def test_a_forsaken_front_ends(self, run, options):
        launcher = FrontLauncher(replace(options, patience=0.2), SystemClock())
        launcher.ensure()
        until(lambda: not is_locked(run / "front.lock"))
        assert not (run / "front.json").exists()

    def test_tls(self, run, options):
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        command += ["-keyout", "key.pem", "-out", "cert.pem", "-addext", names]
        subprocess.run(command, cwd=run, check=True, capture_output=True)
        listening = replace(options.listening, tls_cert=run / "cert.pem", tls_key=run / "key.pem")
        launcher = FrontLauncher(replace(options, listening=listening), SystemClock())
        launcher.ensure()
        server = Server(echo, run / "server.sock")
        context = ssl.create_default_context(cafile=str(run / "cert.pem"))
        plain = socket.create_connection(("127.0.0.1", options.listening.port), 20)
        with Raw(context.wrap_socket(plain, server_hostname="localhost")) as raw:
            size = 3_000_000
            raw.send(b"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            answered = raw.read()
            assert answered.body.startswith(b"PUT /k %d" % size)
            assert b"scheme: https" in answered.body
            raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert raw.read().status == 200
        server.close()
        launcher.stop()
