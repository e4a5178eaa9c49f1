"""What one sandbox may use: resource limits of its processes, and the memory they hold together.

Owns setrlimit values and measuring where no control group does it. Follows getrlimit(2) and proc_pid_status(5).
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

GB = 1 << 30
_ROOM = 16 * GB
"""Address space beside the memory: libraries and threads reserve far more than they touch."""


class Limits(NamedTuple):
    """Of one sandbox. ``memory`` and ``file_bytes`` are bytes; ``cpu_seconds`` counts for one process."""

    memory: int
    processes: int = 1024
    file_bytes: int = 100 * GB
    open_files: int = 65_536
    log_bytes: int = GB
    cpu_weight: float = 0.25
    """Share of the processors when they are short; 1 is an ordinary process's."""
    cpu_seconds: int | None = None
    background: bool = True
    """Scheduled behind whatever answers requests."""


def bound(pid: int, limits: Limits, uid: int | None, *, alone: bool) -> None:
    """Set the limits of a process before it starts others. Raises OSError when that failed.

    ``alone``: it has a user namespace of its own, in which its processes are counted; elsewhere the bound would
    count all that its user runs, and is not set. ``uid``, the process's user, sets them, since root without
    CAP_SYS_RESOURCE may not.
    """
    if uid is None:
        _bound(pid, limits, alone)
        return
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            _bound(pid, limits, alone)
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise OSError(errno.EPERM, f"the limits of process {pid} cannot be set")


def _bound(pid: int, limits: Limits, alone: bool) -> None:
    values = {
        resource.RLIMIT_AS: limits.memory + _ROOM,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
    }
    if alone:
        values[resource.RLIMIT_NPROC] = limits.processes
    if limits.cpu_seconds is not None:
        values[resource.RLIMIT_CPU] = limits.cpu_seconds
    for kind, value in values.items():
        _, most = resource.prlimit(pid, kind)
        able = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.prlimit(pid, kind, (able, able))


def step_back(limits: Limits) -> None:
    """Let this process, and what it starts, be chosen last for the processors and first when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500" if limits.background else "300")
    if limits.background:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        with contextlib.suppress(OSError):
            os.nice(5)


def lower_session(pid: int) -> None:
    """As ``step_back`` where the kernel shares the processors between sessions first (sched(7), autogroup)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("10")


def children(pid: int) -> set[int]:
    """The processes that ``pid`` is the parent of, zombies included."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.update(map(int, (task / "children").read_text().split()))
    return found


def descendants(pid: int) -> Iterator[int]:
    """The processes below ``pid``, parents first, as far as they stay alive while one looks."""
    for child in sorted(children(pid)):
        yield child
        yield from descendants(child)


def resident(pid: int) -> int:
    """Bytes of memory that the processes below ``pid`` hold: their own, and the shared once."""
    own, shared = 0, 0
    for process in descendants(pid):
        status = _status(process)
        own += status.get("RssAnon", 0)
        shared = max(shared, status.get("RssShmem", 0))
    return own + shared


def _status(pid: int) -> dict[str, int]:
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Rss"):
                key, _, value = line.partition(":")
                found[key] = int(value.split()[0]) * 1024
    return found
