"""How long a user waits: for a server that is ready, for quickstart, and for a front after kill -9.

    python -m benchmarks.startup

Targets: ready in under 2 s, quickstart after installation in under 30 s, another front within 1 s (medians; of
quickstart the one run).
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from modelyard.testing.server import RunningServer, free_port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    print(f"{'seconds':34} {'median':>7} {'min':>6} {'max':>6} {'target':>6}")
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, str(number)) for number in range(options.times)]
        _print("serve ready, new data directory", [_ready(place) for place in places], 2)
        _print("serve ready, existing data", [_ready(place) for place in places], 2)
        with RunningServer(Path(folder, "killed")) as server:
            _print("front back after kill -9", [_front_killed(server) for _ in range(options.times)], 1)
        _print("quickstart", [_quickstart(Path(folder, "quick"))], 30)


def _ready(data_dir: Path) -> float:
    began = time.monotonic()
    with RunningServer(data_dir):
        return time.monotonic() - began


def _front_killed(server: RunningServer) -> float:
    pid_file = server.data_dir / "run" / "front.pid"
    killed = int(pid_file.read_text())
    began = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    while time.monotonic() - began < 30:
        if server.healthy() and int(pid_file.read_text()) != killed:
            return time.monotonic() - began
        time.sleep(0.005)
    raise SystemExit("no front came back within 30 s")


def _quickstart(data_dir: Path) -> float:
    command = [sys.executable, "-m", "modelyard", "quickstart", "--data-dir", str(data_dir), "--port", str(free_port())]
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _print(what: str, taken: list[float], target: float) -> None:
    median = statistics.median(taken)
    verdict = "pass" if median < target else "miss"
    print(f"{what:34} {median:7.2f} {min(taken):6.2f} {max(taken):6.2f} {target:6.0f} {verdict}", flush=True)


if __name__ == "__main__":
    main()
