"""Supervise one spec over a disk that writes down what it is asked, in order; prints that as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk
from modelyard.runners.process import spec, supervisor

EVENTS: list[tuple[str, str, bool]] = []


class RecordingDisk(RealDisk):
    def __init__(self, folder: Path) -> None:
        self._note = folder / "ml" / "algo-1" / "ran"

    def record(self, what: str, name: str) -> None:
        plain = "." + name.strip(".").split(".")[0] if name.startswith(".") else name
        EVENTS.append((what, plain, self._note.exists()))

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.record("sync", Path(f"/proc/self/fd/{fd}").readlink().name)

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        self.record("replace", target.name)

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self.record("sync_folder", folder.name)


told = spec.decode(Path(sys.argv[1]).read_bytes())
disk = RecordingDisk(Path(told.folder))
supervisor.supervise(told, disk, SystemClock(), lambda: disk.record("launched", ""))
print(json.dumps(EVENTS))
