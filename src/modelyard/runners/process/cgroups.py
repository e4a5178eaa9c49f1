"""A control group for one sandbox, version 1 or 2, where this process may make one.

Owns finding a place for it, its limits and the count of out-of-memory kills. Refuses to insist: a machine
that lets nobody in gives None. Follows the kernel's admin-guide/cgroup-v1 and cgroup-v2 pages.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

_V1 = ("memory", "pids", "cpu")
_OURS = "modelyard"
_MOST_WEIGHT = 10_000


class Cgroup(NamedTuple):
    """``folders`` by controller; under version 2 they are one. ``limits_memory``: whether memory is bounded."""

    folders: tuple[tuple[str, str], ...]

    def has(self, controller: str) -> bool:
        return any(name == controller for name, _ in self.folders)

    def add(self, pid: int) -> None:
        """Move a process (and what it starts later) in. Raises OSError when the process is gone."""
        for folder in {folder for _, folder in self.folders}:
            (Path(folder) / "cgroup.procs").write_text(str(pid))

    def memory_kills(self) -> int:
        """How many processes the kernel ended here for want of memory."""
        for name, folder in self.folders:
            if name == "memory":
                for file in ("memory.oom_control", "memory.events"):
                    with contextlib.suppress(OSError):
                        return _field((Path(folder) / file).read_text(), "oom_kill")
        return 0

    def remove(self) -> None:
        """Remove the empty groups; processes that are just dying are waited for, shortly."""
        for folder in {folder for _, folder in self.folders}:
            remove_folder(folder)


def remove_folder(folder: str) -> None:
    """Remove one group; one that is gone already or still holds processes after a second is left."""
    for _ in range(50):
        try:
            Path(folder).rmdir()
            break
        except FileNotFoundError:
            break
        except OSError:
            time.sleep(0.02)
    parent = Path(folder).parent
    if parent.name == _OURS:
        with contextlib.suppress(OSError):
            parent.rmdir()


def make(name: str, memory: int, processes: int, weight: float) -> Cgroup | None:
    """A group that bounds bytes of ``memory`` and number of ``processes``; ``weight`` 1 is an ordinary process's
    share of the processors. None where no controller lets itself be used."""
    mounts = _mounts()
    memberships = _memberships()
    folders: list[tuple[str, str]] = []
    for controller in _V1:
        if controller in mounts:
            parent = _place(mounts[controller], memberships.get(controller, "/"))
            folder = parent / _OURS / name
            if _make_v1(controller, folder, memory, processes, weight):
                folders.append((controller, str(folder)))
    if not folders and "" in mounts:
        folders = _make_v2(Path(mounts[""]), memberships.get("", "/"), name, memory, processes, weight)
    return Cgroup(tuple(folders)) if folders else None


def _mounts() -> dict[str, str]:
    """Mount points by controller of version 1; version 2's under the empty name."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            found[""] = before.split(" ")[4]
        elif kind == "cgroup":
            found |= {name: before.split(" ")[4] for name in options.split(",") if name in _V1}
    return found


def _memberships() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _place(mount: str, membership: str) -> Path:
    """Below the group this process is in, so that outer limits hold; a container may not see that path."""
    own = Path(mount) / membership.lstrip("/")
    if own.parent.name == _OURS:
        own = own.parent.parent
    return own if own.is_dir() else Path(mount)


def _make_v1(controller: str, folder: Path, memory: int, processes: int, weight: float) -> bool:
    try:
        _make_folders(folder)
        if controller == "memory":
            (folder / "memory.limit_in_bytes").write_text(str(memory))
            with contextlib.suppress(OSError):
                (folder / "memory.memsw.limit_in_bytes").write_text(str(memory))
        elif controller == "pids":
            (folder / "pids.max").write_text(str(processes))
        else:
            (folder / "cpu.shares").write_text(str(max(2, int(1024 * weight))))
    except OSError:
        return False
    return True


def _make_folders(folder: Path) -> None:
    """Also while another supervisor removes the outer one, which was empty."""
    for _ in range(20):
        with contextlib.suppress(FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return
    raise FileNotFoundError(folder)


def _make_v2(
    mount: Path, membership: str, name: str, memory: int, processes: int, weight: float
) -> list[tuple[str, str]]:
    own = mount / membership.lstrip("/")
    for parent in (own, *own.parents):
        if parent != mount and mount not in parent.parents:
            break
        folder = parent / f"{_OURS}-{name}"
        try:
            _enable(parent)
            folder.mkdir(exist_ok=True)
            (folder / "memory.max").write_text(str(memory))
            with contextlib.suppress(OSError):
                (folder / "memory.swap.max").write_text("0")
            (folder / "pids.max").write_text(str(processes))
            (folder / "cpu.weight").write_text(str(min(_MOST_WEIGHT, max(1, int(100 * weight)))))
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        return [(controller, str(folder)) for controller in _V1]
    return []


def _enable(parent: Path) -> None:
    """Let children of ``parent`` be bounded; the kernel refuses where processes live beside them."""
    missing = set(_V1) - set((parent / "cgroup.subtree_control").read_text().split())
    if missing:
        if not os.access(parent, os.W_OK):
            raise PermissionError(parent)
        (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(missing)))


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
