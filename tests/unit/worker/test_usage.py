"""What a host uses: by the kernel's own figures, of the worker and all that it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.core.jobs import points
from modelyard.worker import usage
from modelyard.worker.usage import Usage, Used, of_tree

PAGE, TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def process(proc: Path, pid: int, parent: int, ticks: tuple[int, int, int, int], pages: int, name: str = "x") -> None:
    (proc / str(pid)).mkdir(parents=True)
    before = f"{pid} ({name}) S {parent} " + "0 " * 9
    (proc / str(pid) / "stat").write_text(f"{before}{' '.join(map(str, ticks))} " + "0 " * 6 + f"{pages} 0 0\n")


def test_a_tree_is_its_root_and_all_below_it(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, (1, 2, 3, 4), 5)
    process(tmp_path, 11, 10, (10, 0, 0, 0), 7, "a) S (b")
    process(tmp_path, 12, 11, (0, 20, 0, 0), 11)
    process(tmp_path, 13, 1, (1000, 0, 0, 0), 1000)
    (tmp_path / "uptime").write_text("")
    (tmp_path / "14").mkdir()
    assert of_tree(10, tmp_path) == Used(40 / TICK, 23 * PAGE)


def test_a_real_tree_counts_what_a_child_did(tmp_path: Path) -> None:
    before = of_tree(os.getpid()).processors
    subprocess.run([sys.executable, "-c", "sum(range(8_000_000))"], check=True)
    after = of_tree(os.getpid())
    assert 0.02 < after.processors - before < 10
    assert 1 << 20 < after.memory < 64 << 30


def test_a_point_a_minute_and_one_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, used = SteppedClock(1000.0), Used(0.0, 0)
    monkeypatch.setattr(usage, "of_tree", lambda _pid: used)
    out = tmp_path / "out" / "algo-1"
    out.mkdir(parents=True)
    measured = Usage(out / "usage.jsonl", 1000, tmp_path, clock)
    for second in range(1, 62):
        clock.step(1)
        used = Used(second * 1.5, 100 if second < 31 else 300)
        measured.look()
    clock.step(10)
    used = Used(96.5, 500)
    measured.finish()
    found = points.usage(tmp_path, "algo-1")
    by_name = {name: [(p.at, round(p.value, 1)) for p in found if p.name == name] for name in {p.name for p in found}}
    assert by_name["CPUUtilization"] == [(1061.0, 150.0), (1071.0, 50.0)]
    assert by_name["MemoryUtilization"] == [(1061.0, 20.3), (1071.0, 50.0)]
    assert [at for at, value in by_name["DiskUtilization"] if 0 < value <= 100] == [1061.0, 1071.0]


def test_what_was_used_is_kept_beside_the_log(tmp_path: Path) -> None:
    out = tmp_path / "out" / "algo-2"
    out.mkdir(parents=True)
    line = {"name": "CPUUtilization", "value": 3.5, "at": 7.0}
    (out / "usage.jsonl").write_text(json.dumps(line) + "\n" + "nonsense\n" + '{"name": "cut off')
    points.keep_usage(tmp_path, ("algo-1", "algo-2"))
    (out / "usage.jsonl").unlink()
    assert [(p.name, p.value, p.at) for p in points.usage(tmp_path, "algo-2")] == [("CPUUtilization", 3.5, 7.0)]
    assert points.usage(tmp_path, "algo-1") == ()
    assert {path.name for path in (tmp_path / "log").iterdir()} == {"algo-2.usage"}
