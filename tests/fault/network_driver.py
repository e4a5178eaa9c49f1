"""Runs jobs with a network of their own and says what they reached, as JSON: ``python network_driver.py FOLDER``.

Run as root or as a normal user; with ``resolver`` behind it by root alone, where /etc/resolv.conf names RESOLVER.
Each check answers "ok" or what was wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY)]

from modelyard.app.supervisor import COMMAND  # noqa: E402
from modelyard.base.clock import SystemClock  # noqa: E402
from modelyard.base.disk import RealDisk  # noqa: E402
from modelyard.edge.peers import Peers, is_local  # noqa: E402
from modelyard.runners.process.limits import descendants  # noqa: E402
from modelyard.runners.process.records import STARTED  # noqa: E402
from modelyard.runners.process.rules import Rules  # noqa: E402
from modelyard.runners.process.runner import ProcessRunner  # noqa: E402
from modelyard.runners.process.sandbox import UNPRIVILEGED  # noqa: E402
from modelyard.testing.runner_kit import attempt, finish, texts, until  # noqa: E402

CHECKS: list[Callable[[World], str]] = []

RESOLVER = "127.0.0.77"

REACH = """
import socket, sys
def reach(kind, place, port):
    with socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, kind) as one:
        one.settimeout(5)
        one.connect((place, port))
        one.sendall(b"hello")
        return one.recv(100).decode()
"""
MEET = """
import socket, sys, time
if sys.argv[1] == "algo-1":
    listener = socket.create_server(("algo-1", 7777))
    print(listener.accept()[0].recv(9).decode(), flush=True)
    time.sleep(0.5)
while sys.argv[1] == "algo-2":
    try:
        socket.create_connection(("algo-1", 7777)).sendall(b"hello")
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
"""


class World:
    """One runner, and listeners of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rules = Rules(COMMAND, hidden=(root,), server_lock=root / "lock")
        self.runner = ProcessRunner(self.rules, RealDisk(), SystemClock())
        self.number = 0

    def start(self, code: str, **given: Any) -> Path:
        self.number += 1
        folder = self.root / str(self.number)
        self.runner.start(attempt(folder, code, **given))
        return folder

    def run(self, code: str, url: str = "", **given: Any) -> str:
        """What a job prints that has a network, and credentials at ``url``."""
        folder = self.start(code, secrets={"AWS_ENDPOINT_URL": url} if url else {}, **given)
        finish(self.runner, folder)
        return " ".join(texts(folder))


class Answers:
    """A listener that answers what it got, and remembers its clients."""

    def __init__(self, place: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, kind)
        self.socket.bind((place, 0))
        self.place, self.port = place, self.socket.getsockname()[1]
        self.from_jobs: list[bool] = []
        threading.Thread(target=self._streams if kind == socket.SOCK_STREAM else self._datagrams, daemon=True).start()

    def _streams(self) -> None:
        self.socket.listen()
        peers = Peers()
        uids = (UNPRIVILEGED,) if os.geteuid() == 0 else (os.getuid(),)
        while True:
            one, peer = self.socket.accept()
            self.from_jobs += peers.are_from_jobs([(peer[:2], one.getsockname()[:2])], uids)
            assert is_local(peer[0])
            one.sendall(one.recv(100).upper())
            one.close()

    def _datagrams(self) -> None:
        while True:
            text, peer = self.socket.recvfrom(100)
            self.socket.sendto(text.upper(), peer)


def check(function: Callable[[World], str]) -> Callable[[World], str]:
    CHECKS.append(function)
    return function


def own_address() -> str:
    """An address of this machine that is not loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("198.51.100.1", 9))
        return str(one.getsockname()[0])


@check
def the_server_is_reached_at_its_own_url(world: World) -> str:
    said = ""
    for place in ("127.0.0.1", "::1", own_address()):
        server = Answers(place)
        shown = f"[{place}]" if ":" in place else place
        said += world.run(
            f"{REACH}print(reach(socket.SOCK_STREAM, {place!r}, {server.port}))", f"http://{shown}:{server.port}"
        )
        said += "" if server.from_jobs == [True] else f" {place} takes it for {server.from_jobs}"
    return "ok" if said == "HELLO" * 3 else said


@check
def nothing_else_of_loopback_is(world: World) -> str:
    server, others = Answers("127.0.0.1"), [Answers("127.0.0.1"), Answers("::1")]
    code = REACH
    for other in others:
        code += f"try:\n    print(reach(socket.SOCK_STREAM, {other.place!r}, {other.port}))\nexcept OSError: pass\n"
    said = world.run(f"{code}print('done')", f"http://127.0.0.1:{server.port}")
    without = world.run(
        f"{REACH}try:\n    reach(socket.SOCK_STREAM, '127.0.0.1', {server.port})\nexcept OSError:\n    print('done')"
    )
    return "ok" if said == without == "done" else f"{said} / {without}"


@check
def the_world_is_reached_by_tcp_and_udp(world: World) -> str:
    place = own_address()
    stream, datagrams = Answers(place), Answers(place, socket.SOCK_DGRAM)
    code = f"{REACH}print(reach(socket.SOCK_STREAM, {place!r}, {stream.port}))\n"
    code += f"print(reach(socket.SOCK_DGRAM, {place!r}, {datagrams.port}))"
    said = world.run(code)
    return "ok" if said == "HELLO HELLO" else said


@check
def nobody_reaches_in(world: World) -> str:
    code = (
        "import select, socket\nones = [socket.create_server(('0.0.0.0', 0)), "
        "socket.create_server(('::', 0), family=socket.AF_INET6)]\n"
        "print(*(one.getsockname()[1] for one in ones), flush=True)\nprint(len(select.select(ones, [], [], 1)[0]))"
    )
    folder = world.start(code)
    until(lambda: texts(folder))
    four, six = map(int, texts(folder)[0].split())
    for place, port in (("127.0.0.1", four), (own_address(), four), ("::1", six), ("169.254.2.1", four)):
        with contextlib.suppress(OSError):
            socket.create_connection((place, port), timeout=0.3).close()
            return f"connected to {place}"
    finish(world.runner, folder)
    return "ok" if texts(folder)[1:] == ["0"] else str(texts(folder))


@check
def two_jobs_use_one_port_at_once(world: World) -> str:
    both = [world.start(MEET, hosts=("algo-1", "algo-2")) for _ in range(2)]
    ended = [finish(world.runner, folder) for folder in both]
    overlap = min(one.ended or 0 for one in ended) > max(one.started or 0 for one in ended)
    said = [texts(folder) for folder in both]
    return "ok" if said == [["hello"]] * 2 and overlap else f"{said} {ended}"


@check
def a_killed_supervisor_leaves_nothing(world: World) -> str:
    for wait in (0.0, 0.01, 0.03, 0.05, 1.0):
        folder = world.start("import time; time.sleep(60)")
        time.sleep(wait)
        supervisor = json.loads((folder / STARTED).read_text())["pid"]
        below = [(pid, command_line(pid)) for pid in descendants(supervisor)]
        if wait == 1.0 and not any("pasta" in line for _, line in below):
            return f"no pasta among {below}"
        os.kill(supervisor, 9)
        if finish(world.runner, folder).state != "lost":
            return "not lost"
        if left := [line for pid, line in below if command_line(pid)]:
            return f"left {left}"
    return "ok"


@check
def an_ended_job_leaves_nothing(world: World) -> str:
    folder = world.start("import time; print('up', flush=True); time.sleep(0.2)")
    until(lambda: texts(folder))
    below = list(descendants(json.loads((folder / STARTED).read_text())["pid"]))
    finish(world.runner, folder)
    left = [line for pid in below if (line := command_line(pid))]
    return "ok" if len(below) > 4 and not left else f"left {left} of {below}"


@check
def a_job_outlives_its_pasta(world: World) -> str:
    folder = world.start("import time; print('up', flush=True); time.sleep(2); print('done')")
    until(lambda: texts(folder))
    supervisor = json.loads((folder / STARTED).read_text())["pid"]
    for pid in descendants(supervisor):
        if "pasta" in command_line(pid).partition(" ")[0]:
            os.kill(pid, 9)
    seen = finish(world.runner, folder)
    said = texts(folder)
    return "ok" if seen.exit_code == 0 and "network is gone" in said[1] and said[-1] == "done" else f"{said} {seen}"


def a_name_server_on_loopback_is_asked(world: World) -> str:
    """The host's resolver, on an address that no namespace of its own shows."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((RESOLVER, 53))

    def answer() -> None:
        while True:
            asked, peer = server.recvfrom(2000)
            question = asked[12 : asked.index(b"\0", 12) + 5]
            known = question[-4:-2] == b"\0\1"  # an IPv4 address
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("192.0.2.77") if known else b""
            counts = b"\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0"
            server.sendto(asked[:2] + b"\x81\x80" + counts + question + record, peer)

    threading.Thread(target=answer, daemon=True).start()
    said = world.run("import socket; print(socket.gethostbyname('somewhere.test'))")
    return "ok" if said == "192.0.2.77" else said


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def main(root: Path, checks: list[Callable[[World], str]]) -> dict[str, str]:
    world = World(root)
    report = world.rules.report()
    if not report.pasta:
        return {"none": f"{report.no_network} {report.network_mend}"}
    found = {}
    for function in checks:
        try:
            found[function.__name__] = function(world)
        except Exception as error:  # noqa: BLE001
            found[function.__name__] = repr(error)
    return found


if __name__ == "__main__":
    print(
        "RESULT", json.dumps(main(Path(sys.argv[1]), [a_name_server_on_loopback_is_asked] if sys.argv[2:] else CHECKS))
    )
