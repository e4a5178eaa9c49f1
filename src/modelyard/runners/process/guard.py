"""The guard of one sandbox: a small process between supervisor and command that lets nothing outlive either.

Owns the ending. It adopts every orphan below it and kills all when the command ends, when it is told to
(SIGUSR1) and when the supervisor dies. Bubblewrap's --die-with-parent alone leaves a sandbox behind when its
parent dies while it is being made (seen in one of twenty kills); without a sandbox the guard is all there is.
It holds the supervisor's lock, so that the lock is free only when nothing is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable

from modelyard.runners.process import kernel
from modelyard.runners.process.limits import children, descendants

KILLED = 128 + signal.SIGKILL
FAILED = 70
TELL = signal.SIGUSR1
"""Sent to a guard: end it all. Blocked when it is forked, until it listens."""
_DEFAULT = (TELL, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)


def guard(supervisor: int, lock: int, become: Callable[[], None], tidy: Callable[[], None]) -> None:
    """Turn this forked process into a guard of a child that ``become`` makes of itself; never returns.

    ``tidy`` does what a dead supervisor no longer does, after all else has ended.
    """
    os.setsid()
    kernel.adopt_orphans()
    watched = os.pidfd_open(supervisor)
    if os.getppid() != supervisor:
        os._exit(KILLED)
    told, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(TELL, lambda *_: None)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {TELL})
    here = os.getpid()
    child = os.fork()
    if child == 0:
        _child(here, become)
    kept = sorted({2, watched, lock, told, tell})
    for low, high in zip([-1, *kept], [*kept, os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
    code = _watch(child, told, watched)
    signal.set_wakeup_fd(-1)
    _end_all()
    if select.select([watched], [], [], 0)[0]:
        tidy()
    os._exit(code)


def _child(parent: int, become: Callable[[], None]) -> None:
    try:
        signal.set_wakeup_fd(-1)
        for number in _DEFAULT:
            signal.signal(number, signal.SIG_DFL)
        kernel.die_with_parent(parent)
        become()
    except BaseException as error:  # noqa: BLE001  (a forked child must never return)
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(FAILED)


def _watch(child: int, told: int, supervisor: int) -> int:
    """Wait for one of the three ends; the exit code."""
    poller = select.poll()
    poller.register(told, select.POLLIN)
    poller.register(supervisor, select.POLLIN)
    while True:
        ready = dict(poller.poll())
        if supervisor in ready:
            return KILLED
        if told in ready and TELL in os.read(told, 512):
            return KILLED
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return code if code >= 0 else 128 - code


def _end_all() -> None:
    """Kill until nothing is left: what forks meanwhile becomes ours and is found in the next round."""
    while end_children(set()):
        time.sleep(0.001)


def end_children(but: set[int]) -> bool:
    """Kill this process's children, those in ``but`` aside, and all below them; whether there were any."""
    mine = children(os.getpid()) - but
    for pid in mine:
        for below in [pid, *descendants(pid)]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(below, signal.SIGKILL)
        os.waitpid(pid, os.WNOHANG)
    return bool(mine)
