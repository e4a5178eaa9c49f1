"""Sets up a machine with things worth stealing, runs escapes.py in a sandbox, prints what came of it as JSON.

``python escape_driver.py FOLDER job|isolated|worker|landlock|bare``; run as root or as a normal user, perhaps with a
terminal.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "src"))

import modelyard  # noqa: E402
from modelyard.app.supervisor import COMMAND  # noqa: E402
from modelyard.base.clock import SystemClock  # noqa: E402
from modelyard.base.disk import RealDisk  # noqa: E402
from modelyard.core.deployments.ports import WorkerSpec  # noqa: E402
from modelyard.core.jobs.ports import Attempt  # noqa: E402
from modelyard.runners.process.pool import ProcessPool  # noqa: E402
from modelyard.runners.process.probe import SandboxReport, probe  # noqa: E402
from modelyard.runners.process.rules import Rules  # noqa: E402
from modelyard.runners.process.runner import ProcessRunner  # noqa: E402

LIMIT = 60.0
SECRET = "open sesame 7f3a"


def main(root: Path, kind: str) -> dict[str, Any]:
    if kind in ("bare", "landlock") and os.geteuid() == 0:
        raise SystemExit("never as root: without a sandbox the escapes change the machine")
    facts, listening, udp, sentinel = furnish(root)
    own = "own" if probe(COMMAND).pasta else "host"
    facts["network"] = own if kind == "job" else "none"
    os.environ["SERVER_SECRET"] = SECRET
    handle = os.open(facts["secret_files"][0], os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        log = attack(root, kind, facts)
        alive = sentinel.poll() is None
    finally:
        sentinel.kill()
    udp.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        udp.recv(10)
        log += "\nUDP came through"
    for socket_ in listening:
        socket_.close()
    return {"log": log, "sentinel": alive}


def attack(root: Path, kind: str, facts: dict[str, Any]) -> str:
    escapes = (REPOSITORY / "tests" / "fault" / "escapes.py").read_text()
    command = (sys.executable, "-I", "-S", "-c", escapes, json.dumps(facts))
    if kind == "bare":
        return subprocess.run(command, capture_output=True, text=True, close_fds=False, check=False).stdout
    if kind == "preload":
        return run_job(root, (sys.executable, "-c", "print('ran')"), {"LD_PRELOAD": library(root)})
    if kind == "landlock":
        root.chmod(0o755)
        return run_job(root, command, network=False, tier="landlock")
    if kind == "worker":
        return run_worker(root, command)
    return run_job(root, command, network=kind == "job")


def furnish(root: Path) -> tuple[dict[str, Any], list[socket.socket], socket.socket, subprocess.Popen[bytes]]:
    data = root / "data"
    for folder in ("keys", "jobs/other/1/ml/algo-1", "run", "blobs"):
        (data / folder).mkdir(parents=True)
    secrets = [data / "keys" / "credentials.json", data / "jobs/other/1/ml/algo-1/model", data / "catalogue.db"]
    secrets.append(root / "elsewhere")
    for path in secrets:
        path.write_text(SECRET)
        path.chmod(0o644)
    server = socket.create_server(("127.0.0.1", 0))
    six = socket.create_server(("::1", server.getsockname()[1]), family=socket.AF_INET6)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0modelyard-test-{os.getpid()}")
    abstract.listen()
    own = socket.socket(socket.AF_UNIX)
    own.bind(str(data / "run" / "server.sock"))
    own.listen()
    sentinel = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import time; time.sleep(300)"], stdout=subprocess.DEVNULL
    )
    ctypes.CDLL(None).syscall(248, b"user", b"modelyard-test", b"x", 1, -3)
    facts = {
        "secret": SECRET,
        "secret_files": [str(path) for path in secrets],
        "data": str(data),
        "prefix": sys.prefix,
        "package": str(Path(modelyard.__file__).parent),
        "shown_homes": [part for prefix in (sys.base_prefix, sys.prefix) for part in Path(prefix).parts],
        "sentinel": sentinel.pid,
        "server": os.getpid(),
        "port": server.getsockname()[1],
        "udp": udp.getsockname()[1],
        "abstract": f"modelyard-test-{os.getpid()}",
        "gateways": gateways(),
        "socket": str(data / "run" / "server.sock"),
    }
    return facts, [server, six, abstract, own], udp, sentinel


def gateways() -> list[str]:
    """The addresses of the routers that this machine sends to."""
    lines = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    return [socket.inet_ntoa(bytes.fromhex(fields[2])[::-1]) for fields in lines if int(fields[2], 16)]


def rules(root: Path, tier: str = "bubblewrap") -> Rules:
    found = Rules(COMMAND, hidden=(root / "data",), server_lock=root / "data" / "run" / "server.lock")
    if tier == "landlock":
        only = SandboxReport("landlock", ("no namespaces here",))
        return replace(found, probe=lambda command: only, allow_unsandboxed=True)
    return found


def library(root: Path) -> str:
    """A library that says so where it is loaded, outside of the sandbox."""
    source = root / "loaded.c"
    source.write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) static void loaded(void)"
        f'{{ open("{root}/loaded", O_CREAT | O_WRONLY, 0600); }}\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(root / "loaded.so"), str(source)], check=True)
    root.chmod(0o777)
    return str(root / "loaded.so")


def run_job(
    root: Path,
    command: tuple[str, ...],
    variables: dict[str, str] | None = None,
    *,
    network: bool = True,
    tier: str = "bubblewrap",
) -> str:
    folder = root / "data" / "jobs" / "this" / "1"
    for part in ("ml/algo-1", "out/algo-1"):
        (folder / part).mkdir(parents=True)
    (folder / "worker.json").write_text("{}")
    runner = ProcessRunner(rules(root, tier), RealDisk(), SystemClock())
    readable = (root / "data" / "envs",)
    readable[0].mkdir()
    runner.start(
        Attempt(
            id="this",
            job_id="job",
            number=1,
            folder=folder,
            hosts=("algo-1",),
            command=command,
            variables=variables or {},
            secrets={"a": "b"},
            deadline=time.time() + LIMIT,
            grace=0,
            network=network,
            readable=readable,
        )
    )
    while runner.observe(folder).state == "running":
        time.sleep(0.01)
    log = (folder / "log" / "algo-1.log").read_text()
    log += "".join(
        f"\n{path.name} is root's" for path in (folder / "out" / "algo-1").iterdir() if path.lstat().st_uid == 0
    )
    runner.remove(folder)
    return f"{log}\n{runner.observe(folder)}"


def run_worker(root: Path, command: tuple[str, ...]) -> str:
    folder = root / "data" / "endpoints" / "e" / "w"
    for part in ("ml", "out"):
        (folder / part).mkdir(parents=True)
    (folder / "worker.json").write_text("{}")
    pool = ProcessPool(rules(root), RealDisk(), SystemClock())
    pool.start(WorkerSpec("w", folder, command, {}, folder / "socket", 1, 1 << 30))
    seen = []
    end = time.monotonic() + LIMIT
    while (state := pool.observe(folder).state) != "dead" and time.monotonic() < end:
        seen.append(state)
        time.sleep(0.002)
    log = (folder / "log").read_text()
    pool.remove(folder)
    return f"{log}\n{'a planted link counts as ready' if 'ready' in seen else ''}"


if __name__ == "__main__":
    print("RESULT", json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
