"""Each benchmark in small: its table comes out and its numbers are numbers. What they are is not judged here."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = "not-installed-here"

SMALL: dict[str, tuple[list[str], list[str]]] = {
    "startup": (
        ["--times", "1"],
        ["serve ready, new data directory", "serve ready, existing data", "front back after kill -9", "quickstart"],
    ),
    "first_line": (["--jobs", "1"], ["median"]),
    "registry": (
        ["--moto-server", ABSENT, "--seconds", "1", "--stored", "3", "--fresh", "6000"],
        ["describe", "create", "list"],
    ),
    "predictions": (["--seconds", "1"], [" {10}1", " {9}64"]),
    "s3": (
        ["--moto-server", ABSENT, "--rclone", ABSENT, "--seconds", "1", "--no-big"],
        ["PUT 1 KB", "GET 1 KB", "PUT 1 MB", "GET 1 MB"],
    ),
    "jobs": (["--jobs", "4", "--clients", "2"], ["created", "done", "busy"]),
}
"""Of each benchmark: how it is made small, and the beginnings of the rows that it prints."""


def test_every_benchmark_is_run_here() -> None:
    runnable = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()}
    assert set(SMALL) == runnable
    shown = set(re.findall(r"python -m benchmarks\.(\w+)", (ROOT / "benchmarks" / "README.md").read_text()))
    assert shown == runnable


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_prints_its_table(name: str) -> None:
    options, rows = SMALL[name]
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for option in options:
        assert option != ABSENT or f"{ABSENT} is not installed: left out" in run.stdout
    for row in rows:
        [line] = re.findall(rf"^{row}(.*)$", run.stdout, re.M)
        figure = float(re.findall(r"-?\d+(?:\.\d+)?", line)[0])
        assert math.isfinite(figure) and figure > 0, run.stdout
