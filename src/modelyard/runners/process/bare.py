"""Running without a sandbox, where the kernel gives no namespaces: a guard that lets no process outlive its end.

Owns the guard: the parent of the command and of its orphans. It isolates nothing. The guard ends when the
command does, when it is told to (SIGUSR1), and when the supervisor dies (its pipe closes); all that the command
started ends before it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time

from modelyard.runners.process import kernel
from modelyard.runners.process.limits import descendants
from modelyard.runners.process.sandbox import ML, RUN, Box


def guard(box: Box, parent: int, status: int, release: int, passed: tuple[int, ...]) -> None:
    """Never returns. Speaks as bubblewrap does: its process on ``status``, one byte on ``release`` to go."""
    kernel.adopt_orphans()
    told, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell)
    kept = sorted({0, 1, 2, status, release, told, tell, *passed})
    for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
    supervisor = os.pidfd_open(parent)
    os.write(status, json.dumps({"child-pid": os.getpid()}).encode() + b"\n")
    if os.getppid() != parent or not os.read(release, 1):
        os._exit(137)
    os.close(release)
    here = os.getpid()
    command = os.fork()
    if command == 0:
        _become(box, passed, here)
    code = _watch(command, told, supervisor)
    os.write(status, json.dumps({"exit-code": code}).encode() + b"\n")
    _end_all()
    os._exit(code)


def _watch(command: int, told: int, supervisor: int) -> int:
    poller = select.poll()
    poller.register(told, select.POLLIN)
    poller.register(supervisor, select.POLLIN)
    while True:
        ready = dict(poller.poll())
        if supervisor in ready:
            return 137
        if told in ready and signal.SIGUSR1 in os.read(told, 512):
            return 137
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == command:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return code if code >= 0 else 128 - code


def _end_all() -> None:
    """Kill until nothing is left: what forks meanwhile becomes ours and is found in the next round."""
    signal.set_wakeup_fd(-1)
    while True:
        for pid in list(descendants(os.getpid())):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _become(box: Box, passed: tuple[int, ...], parent: int) -> None:
    try:
        kernel.die_with_parent(parent)
        for number in (signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        kernel.forbid_new_privileges()
        for descriptor in passed:
            os.set_inheritable(descriptor, True)
        for bind in box.binds:
            if bind.target == ML:
                os.chdir(bind.source)
        os.execvpe(box.command[0], list(box.command), _variables(box))  # noqa: S606
    except BaseException as error:  # noqa: BLE001  (a forked child must never return)
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(127)


def _variables(box: Box) -> dict[str, str]:
    """Where things lie that a sandbox would show at their usual places."""
    places = {bind.target: bind.source for bind in box.binds}
    found = {"MODELYARD_ML": places[ML], "MODELYARD_OUT": places[f"{RUN}/out"]}
    if f"{RUN}/worker.json" in places:
        worker = places[f"{RUN}/worker.json"]
        found |= {"MODELYARD_WORKER": worker, "MODELYARD_RUN": os.path.dirname(worker)}  # noqa: PTH120
    if "/tmp" in places:  # noqa: S108
        found |= {"TMPDIR": places["/tmp"], "HOME": places["/tmp"]}  # noqa: S108
    return {**box.variables, **found}
