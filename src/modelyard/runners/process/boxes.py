"""Starting one sandbox and ending it, as a child of the supervisor.

Owns the steps between fork and exec: mounts that an unprivileged user can reach, the change of user,
inherited descriptors, the tie to the parent's life. Refuses to know why it starts or ends. A sandbox waits,
fully made, until it is released; nothing of the user's runs before.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from modelyard.base.disk import write_all
from modelyard.runners.process import bare, guard, kernel, sandbox
from modelyard.runners.process.cgroups import Cgroup
from modelyard.runners.process.limits import Limits, descendants, step_back
from modelyard.runners.process.networks import Network
from modelyard.runners.process.sandbox import Bind, Box

_STAGE = "/tmp"  # noqa: S108  (covered in the child's own mounts)
_READY_WITHIN = 60.0
NOT_MADE = 1
"""Bubblewrap's exit code when it could not make the sandbox; a command may answer it as well (see ``has_run``)."""


class Refused(Exception):
    """The sandbox could not be made; the text says why."""

    reason = "refused"


class Stopped(Refused):
    """It was not needed any more before it was made."""

    reason = "stopped"


class Late(Refused):
    """Its deadline came before it was made."""

    reason = "deadline"


class RunningBox:
    """A started sandbox. ``pid`` is our child, its guard; ``init`` the process whose end ends all others in it (the
    guard itself where there is no sandbox)."""

    def __init__(self, box: Box, pid: int, output: int, status: int, release: int) -> None:
        self.box = box
        self.pid = pid
        self.init = pid
        self.output = output
        self.pidfd = os.pidfd_open(pid)
        self.init_pidfd = self.pidfd
        self.code: int | None = None
        self._status = status
        self._release = release

    def wait_made(self) -> None:
        """Return when the sandbox's first process is there, which waits before the command. Raises Refused with what
        was said when there is none; a later failure shows in ``has_run``."""
        text = self._read_status()
        if not text:
            raise Refused(f"the sandbox of {self.box.name} could not be made: {self.said() or 'it ended at once'}")
        self.init = json.loads(text)["child-pid"]
        self.init_pidfd = os.pidfd_open(self.init)

    def _read_status(self) -> bytes:
        text = b""
        end = time.monotonic() + _READY_WITHIN
        poller = select.poll()
        poller.register(self._status, select.POLLIN)
        while not text.endswith(b"}\n"):
            poller.poll(max(0.0, end - time.monotonic()) * 1000)
            try:
                part = os.read(self._status, 4096)
            except BlockingIOError:
                return b""
            if not part:
                return b""
            text += part
        return text

    def said(self) -> str:
        """What it has printed and nobody has read."""
        text = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.output, 4096):
                text += part
        return text.decode(errors="replace").strip()[-1000:]

    def waiting(self) -> int:
        """Before ``release``: the process that waits for it, from which all others will descend."""
        return self.init if self.init != self.pid else next(descendants(self.pid))

    def release(self) -> None:
        """Let the command run."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._release, b"x")
        os.close(self._release)

    def command(self) -> int | None:
        """The process that the box's command runs in, while it is there."""
        first = next(descendants(self.init), None)
        if self.init != self.pid:
            return next((pid for pid in descendants(self.init) if _inner_pid(pid) == "2"), first)
        return first

    def terminate(self) -> None:
        """Ask the command to end."""
        pid = self.command()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """End every process of the sandbox, at once. Safe when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self.init != self.pid:
                signal.pidfd_send_signal(self.init_pidfd, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self.pidfd, guard.TELL)

    def reap(self) -> int:
        """After the guard has ended, and with it all others: the command's exit code."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if self.init != self.pid:  # the guard may have been killed itself
            self.kill()
            poller = select.poll()
            poller.register(self.init_pidfd, select.POLLIN)
            poller.poll(10_000)
        self.code = code if code >= 0 else 128 - code
        return self.code

    def has_run(self) -> bool:
        """After ``reap``: whether the sandbox was made to the end, so that the command had its turn."""
        with contextlib.suppress(BlockingIOError):
            return b"exit-code" in os.read(self._status, 4096)
        return False


def _inner_pid(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1]
    return None


def start(
    box: Box,
    limits: Limits,
    bwrap: str,
    uid: int | None,
    lock: int,
    group: Cgroup | None,
    passed: Mapping[str, int],
    network: Network | None = None,
    confine: Callable[[Box], None] | None = None,
) -> RunningBox:
    """Fork a guard whose child becomes ``box``. ``bwrap`` empty: no sandbox. ``lock`` is kept open by the guard, which
    removes ``group`` when we cannot. ``network``: one that it enters, where its own is not private. ``confine``: what
    restricts it where there is no sandbox.

    ``passed``: descriptors to hand in, by the variable that names each.
    """
    box = box._replace(variables={**box.variables, **{name: str(fd) for name, fd in passed.items()}})
    output, their_output = os.pipe2(os.O_CLOEXEC)
    status, their_status = os.pipe2(os.O_CLOEXEC)
    their_release, release = _gate()
    os.set_blocking(output, False)
    os.set_blocking(status, False)

    def become() -> None:
        _prepare(their_output, limits)
        if bwrap:
            _become(box, bwrap, uid, their_status, their_release, tuple(passed.values()), network)
        else:
            bare.become(box, their_status, their_release, tuple(passed.values()), confine)

    supervisor = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {guard.TELL})
    pid = os.fork()
    if pid == 0:
        try:
            guard.guard(supervisor, lock, become, group.remove if group is not None else _nothing)
        except BaseException as error:  # noqa: BLE001  (a forked child must never return)
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(guard.FAILED)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {guard.TELL})
    for theirs in (their_output, their_status, their_release):
        os.close(theirs)
    return RunningBox(box, pid, output, status, release)


def _nothing() -> None:
    """There is no group to remove."""


def _gate() -> tuple[int, int]:
    """A pipe on which one waits for a byte. The waiting end can write too, so that the death of who holds the other
    is no end of file, which would count as the byte."""
    waits, tells = os.pipe2(os.O_CLOEXEC)
    both = os.open(f"/proc/self/fd/{waits}", os.O_RDWR | os.O_CLOEXEC)
    os.close(waits)
    return both, tells


def _prepare(output: int, limits: Limits) -> None:
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.umask(0o022)
    kernel.leave_keyring()
    step_back(limits)


def _become(
    box: Box, bwrap: str, uid: int | None, status: int, release: int, passed: tuple[int, ...], network: Network | None
) -> None:
    guarding = os.getppid()
    binds: Sequence[Bind] = box.binds
    content = {name: _memory_file(name, text) for name, text in sandbox.files(box).items()}
    if uid is not None:
        bwrap, binds = _stage(bwrap, box.binds)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if network is not None:
        network.enter()
    elif not box.private_network:
        kernel.forbid_new_privileges()
        kernel.scope_ipc()
    options = sandbox.arguments(box, binds, content)
    options += ["--json-status-fd", str(status), "--block-fd", str(release)]
    arguments = _memory_file("arguments", "\0".join(options).encode() + b"\0")
    keep_only((status, release, arguments, *content.values(), *passed))
    kernel.die_with_parent(guarding)
    os.execve(bwrap, ["bwrap", "--args", str(arguments), "--", *box.command], {})  # noqa: S606


def _memory_file(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name[-60:], os.MFD_CLOEXEC)  # of a path, as much as the kernel takes
    write_all(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def keep_only(descriptors: tuple[int, ...]) -> None:
    """Close every descriptor but 0, 1, 2 and these, which the next program inherits."""
    kept = sorted({descriptor for descriptor in descriptors if descriptor > 2})
    low = 3
    for descriptor in kept:
        os.closerange(low, descriptor)
        os.set_inheritable(descriptor, True)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _stage(bwrap: str, binds: Sequence[Bind]) -> tuple[str, list[Bind]]:
    """Show the sources of ``binds``, and bubblewrap, where a user who may not enter root's folders finds them."""
    kernel.own_mounts()
    wanted = [bind.source for bind in binds]
    package = Path(bwrap).parent.parent
    own_bwrap = not sandbox.within(bwrap, "/usr")
    if own_bwrap:
        wanted += [str(folder) for folder in (package, Path(f"{package}.libs")) if folder.is_dir()]
    opened = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in wanted]
    folders = [Path(path).is_dir() for path in wanted]
    kernel.mount_memory(_STAGE)
    places: list[str] = []
    for index, (path, descriptor, is_folder) in enumerate(zip(wanted, opened, folders, strict=True)):
        place = Path(_STAGE) / (str(index) if index < len(binds) else Path(path).name)
        if is_folder:
            place.mkdir()
        else:
            place.touch()
        kernel.bind(descriptor, str(place))
        os.close(descriptor)
        places.append(str(place))
    moved = [bind._replace(source=place) for bind, place in zip(binds, places, strict=False)]
    return (str(Path(_STAGE) / package.name / Path(bwrap).relative_to(package)) if own_bwrap else bwrap), moved
