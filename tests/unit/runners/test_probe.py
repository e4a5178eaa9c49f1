"""A probe leaves nothing behind, not even what a killed one left."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from modelyard.runners.process.probe import probe

TWO_HOURS = 2 * 3600


def test_what_killed_probes_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stale, running, others = (tmp_path / name for name in ("modelyard-probe-a", "modelyard-probe-b", "modelyard-c"))
    aim = tmp_path / "aim"
    for folder in (stale, running, others, aim):
        (folder / "ml").mkdir(parents=True)
    link = tmp_path / "modelyard-probe-link"
    link.symlink_to(aim)
    for folder in (stale, others, aim):
        os.utime(folder, (time.time() - TWO_HOURS, time.time() - TWO_HOURS))
    os.utime(link, (time.time() - TWO_HOURS, time.time() - TWO_HOURS), follow_symlinks=False)
    probe(("/bin/false",))
    assert sorted(tmp_path.iterdir()) == sorted([aim, running, others, link])
