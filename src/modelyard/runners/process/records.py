"""The files through which a supervisor and whoever watches it speak: one folder, no other memory.

Owns their names, their form and what they mean together: ``supervisor.lock`` is held (flock) by a live
supervisor; ``started``, made at most once, says that user code may have run, or that it never will (sealed);
``processes`` names the sandboxes before any user code runs in them; ``stop`` asks for an end; ``exit`` is final.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from modelyard.base.disk import Disk, try_lock, write_durably

LOCK, STARTED, PROCESSES, STOP, EXIT, WAKE = "supervisor.lock", "started", "processes", "stop", "exit", "wake"


class State(NamedTuple):
    """What a folder says now. ``exit`` is the record of an ``exited`` one."""

    state: Literal["absent", "running", "exited", "lost"]
    started: float | None = None
    exit: Mapping[str, Any] = MappingProxyType({})


def read(folder: Path) -> State:
    """What the files say; only reads, never blocks.

    ``started`` is read before the lock: seen with a free lock after it, its supervisor has ended.
    """
    record = _load(folder / EXIT)
    started = None if record is not None else _load(folder / STARTED)
    if record is None and started is None:
        return State("absent")
    if started is not None and started["sealed"]:
        return State("exited", None, _sealed(started))
    alive = started is not None and _held(folder / LOCK)
    record = record or _load(folder / EXIT)
    if record is not None:
        return State("exited", record["started"], record)
    living = alive or any(is_alive(process) for process in processes(folder))
    return State("running" if living else "lost", started["at"] if started is not None else None)


def _sealed(started: dict[str, Any]) -> dict[str, Any]:
    """The exit record of what was stopped before it started."""
    at = started["at"]
    return {"code": None, "reason": "stopped", "started": None, "ended": at, "message": "", "dropped_lines": 0}


def take_lock(folder: Path, patience: float = 1.0) -> int | None:
    """The supervisor's lock, or None when another supervisor holds it. Watchers hold it shared for microseconds."""
    end = time.monotonic() + patience
    while True:
        lock = try_lock(folder / LOCK)
        if lock is not None or time.monotonic() > end:
            return lock
        time.sleep(0.005)


def make_started(disk: Disk, folder: Path, at: float, *, seal: bool = False) -> bool:
    """Claim the one start of this folder, whole and on disk; False when it was claimed before.

    ``seal``: claim it so that nothing ever starts. Raises FileNotFoundError when the folder is gone.
    """
    temporary = folder / f".{STARTED}.{os.getpid()}.{os.urandom(4).hex()}"
    write_durably(disk, temporary, json.dumps({"at": at, "sealed": seal, **identity(os.getpid())}).encode())
    try:
        os.link(temporary, folder / STARTED)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    disk.sync_folder(folder)
    return True


def write_processes(disk: Disk, folder: Path, pids: list[int], groups: list[str]) -> None:
    """Name the sandboxes' processes and control groups, for whoever must know whether they still live."""
    record = {"processes": [identity(pid) for pid in pids], "groups": groups}
    write_durably(disk, folder / PROCESSES, json.dumps(record).encode())


def processes(folder: Path) -> list[dict[str, Any]]:
    record = _load(folder / PROCESSES) or {"processes": []}
    return list(record["processes"])


def groups(folder: Path) -> list[str]:
    """The control groups that the sandboxes were put in."""
    record = _load(folder / PROCESSES) or {"groups": []}
    return list(record["groups"])


def ask_stop(disk: Disk, folder: Path, grace: float, at: float) -> None:
    """Write ``stop`` and wake the supervisor. Raises FileNotFoundError when the folder is gone."""
    earlier = _load(folder / STOP)
    if earlier is None or grace < earlier["grace"]:
        first = at if earlier is None else earlier["at"]
        write_durably(disk, folder / STOP, json.dumps({"grace": grace, "at": first, "asked": at}).encode())
    wake(folder)


def read_stop(folder: Path) -> dict[str, Any] | None:
    return _load(folder / STOP)


def wake(folder: Path) -> None:
    """Let the supervisor look at the folder now; nobody there is no error."""
    try:
        pipe = os.open(folder / WAKE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):
            return
        raise
    with contextlib.suppress(BlockingIOError):
        os.write(pipe, b"x")
    os.close(pipe)


def listen(folder: Path) -> int:
    """The end of ``wake`` that the supervisor reads; never at its end of file."""
    (folder / WAKE).unlink(missing_ok=True)
    os.mkfifo(folder / WAKE, 0o600)
    return os.open(folder / WAKE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def identity(pid: int) -> dict[str, Any]:
    """What tells a process from a later one of the same number: its start time, and the machine's own."""
    return {"pid": pid, "start": _start_time(pid), "boot": _boot()}


def is_alive(process: dict[str, Any]) -> bool:
    """Whether the very process that ``identity`` named still runs (a zombie does not)."""
    return bool(process["boot"] == _boot()) and process["start"] == _start_time(process["pid"]) is not None


def _start_time(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _held(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _load(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return record
