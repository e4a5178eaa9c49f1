"""The supervisor: one process for each attempt or endpoint worker, which outlives the server that launched it.

Owns the life of the sandboxes of one folder: it starts them at most once, keeps their log, enforces deadline,
stop and memory, ends them all when one fails, and leaves the exit record. Refuses to know what they compute.
Killed at any moment, its sandboxes die with it. Light to start: the standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.disk import Disk, is_locked, listen_unix, write_all, write_durably
from modelyard.runners.process import boxes, cgroups, guard, kernel, landlock, limits, networks, records
from modelyard.runners.process.lines import LineLog
from modelyard.runners.process.sandbox import Box
from modelyard.runners.process.spec import Spec

_CHUNK = 1 << 16
_MEMORY_WATCH = 0.25
_SERVER_WATCH = 30.0
_FOLDER_WATCH = 5.0
_SIBLING_GRACE = 10.0
_DRAIN = 1.0
_LINK_WAIT = 0.5


def supervise(spec: Spec, disk: Disk, clock: Clock, launched: Callable[[], None]) -> None:
    """Run ``spec`` to its end. Returns at once when its folder was started, sealed or ended before.

    ``launched`` is called when the folder is locked and claimed: from then on it has an exit record or is lost.
    """
    folder = Path(spec.folder)
    lock = records.take_lock(folder)
    if lock is None or (folder / records.EXIT).exists():
        return
    kernel.adopt_orphans()
    wake = records.listen(folder)
    at = clock.now()
    if not records.make_started(disk, folder, at):
        return
    launched()
    run = _Run(spec, disk, clock, lock, wake)
    try:
        record = {"started": at, **run.go()}
    except (boxes.Refused, OSError, ValueError) as error:
        run.abandon()
        reason = getattr(error, "reason", "refused")
        record = {"started": None, "code": None, "reason": reason, "message": str(error), "hosts": {}}
    record |= {"ended": clock.now(), "dropped_lines": run.finish_logs()}
    with contextlib.suppress(FileNotFoundError):  # deleted under us: nobody is left to tell
        write_durably(disk, folder / records.EXIT, json.dumps(record).encode())
    with contextlib.suppress(OSError):
        (folder / records.WAKE).unlink()
    os.close(lock)


class _Run:
    """The sandboxes while they run. One thread, one loop over descriptors and timers."""

    def __init__(self, spec: Spec, disk: Disk, clock: Clock, lock: int, wake: int) -> None:
        self._spec = spec
        self._disk = disk
        self._clock = clock
        self._folder = Path(spec.folder)
        self._lock = lock
        self._wake = wake
        self._boxes: list[boxes.RunningBox] = []
        self._groups: list[cgroups.Cgroup | None] = []
        self._logs: list[LineLog] = []
        self._linked = False
        self._network: networks.Network | None = None
        self._reason: str | None = None
        self._message = ""
        self._failed: boxes.RunningBox | None = None
        self._kill_at: float | None = None
        self._server_seen = time.monotonic()
        self._next_memory = time.monotonic() + _MEMORY_WATCH
        self._next_server = time.monotonic() + min(_SERVER_WATCH, spec.patience / 4 or _SERVER_WATCH)
        self._next_folder = time.monotonic() + _FOLDER_WATCH
        self._poller = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}

    def go(self) -> dict[str, Any]:
        """Start all, wait for all; the exit record but for its times. Raises Refused or OSError."""
        self._start()
        self._on(self._wake, self._woken)
        self._woken()
        while any(box.code is None for box in self._boxes):
            for descriptor, _ in self._poller.poll(self._timeout()):
                if descriptor in self._handlers:
                    self._handlers[descriptor]()
            self._look_at_clocks()
        return self._record()

    def _start(self) -> None:
        spec = self._spec
        if spec.refusal:
            raise boxes.Refused(spec.refusal)
        self._network = self._make_network()  # first, because it connects while all else is made
        if spec.uid is not None:
            for path in spec.owned:
                give(path, spec.uid)
        if spec.link:
            self._make_link()
        self._start_boxes()
        try:
            for made in self._boxes:
                made.wait_made()
            self._bound()
            if self._network is not None:
                self._network.wait_connected()
        except networks.CannotConnect as error:
            raise boxes.Refused(f"the job's network could not be made: {error}") from error
        except ProcessLookupError as error:  # it failed after it had said that it was made
            said = next(filter(None, (box.said() for box in self._boxes)), "it ended at once")
            raise boxes.Refused(f"the sandbox could not be made: {said}") from error
        for index, made in enumerate(self._boxes):
            made.release()
            self._on(made.output, partial(self._printed, index))
            self._on(made.pidfd, partial(self._ended, index))
        if self._network is not None:
            self._on(self._network.pidfd, self._disconnected)

    def _start_boxes(self) -> None:
        spec, bounds = self._spec, self._spec.limits
        bwrap = spec.bwrap if spec.tier == "bubblewrap" else ""
        passed = self._passed()
        confine = partial(landlock.confine, alone=len(spec.boxes) == 1) if spec.tier == "landlock" else None
        for box in spec.boxes:
            own = self._boxed(box)
            self._logs.append(LineLog(box.log, bounds.log_bytes, self._clock))
            secrets = {"MODELYARD_SECRETS_FD": _secrets(spec)} if spec.secrets else {}
            name = f"{spec.id}-{len(self._groups)}"
            group = cgroups.make(name, bounds.memory, bounds.processes, bounds.cpu_weight)
            self._groups.append(group)
            given = {**passed, **secrets}
            started = boxes.start(own, bounds, bwrap, spec.uid, self._lock, group, given, self._network, confine)
            self._boxes.append(started)
            for descriptor in secrets.values():
                os.close(descriptor)
        for descriptor in passed.values():
            os.close(descriptor)

    def _make_network(self) -> networks.Network | None:
        """The namespace that the boxes share, where they need one."""
        spec = self._spec
        private = spec.boxes[0].private_network
        if spec.tier != "bubblewrap" or (len(spec.boxes) == 1 if private else spec.uplink is None):
            return None
        try:
            return networks.make(spec.uid, self._lock, spec.limits, None if private else spec.uplink)
        except networks.CannotConnect as error:
            raise boxes.Refused(str(error)) from error

    def _boxed(self, box: Box) -> Box:
        """``box``, in the network that the boxes share."""
        if self._network is None:
            return box
        local = not box.private_network and networks.local_resolver()
        resolver = networks.resolver_file().decode() if local else ""
        return box._replace(private_network=False, resolver=resolver)

    def _passed(self) -> dict[str, int]:
        if not self._spec.socket:
            return {}
        return {"MODELYARD_LISTEN_FD": listen_unix(Path(self._spec.socket)).detach()}

    def _bound(self) -> None:
        """Put the waiting sandboxes under their limits, and name them on disk before anything runs in them."""
        spec = self._spec
        for box, group in zip(self._boxes, self._groups, strict=True):
            if group is not None:
                group.add(box.waiting())
            limits.bound(box.waiting(), spec.limits, spec.uid, alone=spec.tier == "bubblewrap")
        pids = sorted({pid for box in self._boxes for pid in (box.pid, box.init)})
        folders = sorted({folder for group in self._groups if group is not None for _, folder in group.folders})
        records.write_processes(self._disk, self._folder, pids, folders)

    def _make_link(self) -> None:
        """Let the absolute path that a client demands lead to this attempt; one at a time, the others wait."""
        spec = self._spec
        link, target = Path(spec.link), spec.boxes[0].binds[0].source
        if len(spec.boxes) > 1:
            raise boxes.Refused(f"this machine gives no sandbox, and {link} cannot lead each host to its own files")
        try:
            lock = os.open(f"{link}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            while not _try_flock(lock):
                if records.read_stop(self._folder) is not None:
                    raise boxes.Stopped(f"it was stopped while it waited for {link}")
                if spec.deadline is not None and self._clock.now() >= spec.deadline:
                    raise boxes.Late(f"its time was over while it waited for {link}")
                time.sleep(_LINK_WAIT)
            if link.is_symlink() and _is_ours(link):
                link.unlink()
            link.symlink_to(target)
            self._linked = True
        except OSError as error:
            raise boxes.Refused(
                f"this machine gives no sandbox, and {link}, which the job's command needs, cannot be made: {error}"
            ) from error

    def _on(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._poller.register(descriptor, select.EPOLLIN)
        self._handlers[descriptor] = handler

    def _off(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    def _printed(self, index: int) -> None:
        box = self._boxes[index]
        try:
            chunk = os.read(box.output, _CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self._logs[index].feed(chunk)
        else:
            self._off(box.output)

    def _ended(self, index: int) -> None:
        box = self._boxes[index]
        self._off(box.pidfd)
        code = box.reap()
        kept = {each.pid for each in self._boxes if each.code is None}
        if self._network is not None:
            kept.add(self._network.pid)
        while guard.end_children(kept):
            time.sleep(0.001)  # only what a killed guard left to us
        self._drain(index)
        group = self._groups[index]
        if code == boxes.NOT_MADE and self._kill_at is None and not box.has_run():
            raise boxes.Refused(f"the sandbox of {box.box.name} could not be made: {self._logs[index].last()}")
        if code and self._failed is None:
            self._failed = box
            if group is not None and group.memory_kills() and self._reason is None:
                self._out_of_memory(box)
            elif self._reason is None:
                self._message = f"{box.box.name} {_how(code)}"
        if code and self._kill_at is None:
            self._end_all(_SIBLING_GRACE)

    def _drain(self, index: int) -> None:
        """Read what is left; every writer is dead, but a descriptor sent elsewhere must not hold us."""
        output = self._boxes[index].output
        self._off(output)
        end = time.monotonic() + _DRAIN
        poller = select.poll()
        poller.register(output, select.POLLIN)
        while time.monotonic() < end and poller.poll(max(0.0, end - time.monotonic()) * 1000):
            chunk = os.read(output, _CHUNK)
            if not chunk:
                break
            self._logs[index].feed(chunk)
        os.close(output)

    def _disconnected(self) -> None:
        assert self._network is not None
        self._off(self._network.pidfd)
        for log in self._logs:
            log.feed(b"modelyard: the job's network is gone: what connected it has ended\n")

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        stop = records.read_stop(self._folder)
        if stop is not None:
            self._reason = self._reason or "stopped"
            self._end_all(stop["grace"])

    def _end_all(self, grace: float) -> None:
        """SIGTERM to every command, SIGKILL to every sandbox after ``grace``; asked again, the shorter wait counts."""
        first = self._kill_at is None
        at = time.monotonic() + grace
        self._kill_at = at if self._kill_at is None else min(at, self._kill_at)
        for box in self._boxes:
            if first and box.code is None:
                box.terminate()

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [self._next_folder, self._next_server]
        if self._watches_memory():
            times.append(self._next_memory)
        if self._kill_at is not None:
            times.append(self._kill_at)
        elif self._spec.deadline is not None:
            times.append(now + self._spec.deadline - self._clock.now())
        return max(0.0, min(times) - now)

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            for box in self._boxes:
                if box.code is None:
                    box.kill()
            self._kill_at = now + 1
        elif self._kill_at is None and self._spec.deadline is not None and self._clock.now() >= self._spec.deadline:
            self._reason = "deadline"
            self._end_all(self._spec.grace)
        if self._watches_memory() and now >= self._next_memory:
            self._next_memory = now + _MEMORY_WATCH
            self._look_at_memory()
        if now >= self._next_folder:
            self._next_folder = now + _FOLDER_WATCH
            if not self._folder.exists():
                self._end_all(0)
        if now >= self._next_server:
            self._next_server = now + min(_SERVER_WATCH, self._spec.patience / 4 or _SERVER_WATCH)
            if self._spec.patience:
                self._look_at_server(now)

    def _watches_memory(self) -> bool:
        return any(group is None or not group.has("memory") for group in self._groups)

    def _look_at_memory(self) -> None:
        for box in self._boxes:
            if box.code is None:
                if limits.resident(box.init) > self._spec.limits.memory and self._reason is None:
                    self._out_of_memory(box)
                    box.kill()
                command = box.command()
                if command is not None and self._spec.limits.background:
                    limits.lower_session(command)

    def _out_of_memory(self, box: boxes.RunningBox) -> None:
        self._reason = "memory"
        size = self._spec.limits.memory / (1 << 20)
        self._message = f"{box.box.name} ran out of memory: it may use {size:,.0f} MiB"

    def _look_at_server(self, now: float) -> None:
        if is_locked(Path(self._spec.server_lock)):
            self._server_seen = now
        elif now - self._server_seen > self._spec.patience and self._kill_at is None:
            self._reason = "stopped"
            self._message = f"no server came back for {self._spec.patience:.0f} s"
            self._end_all(self._spec.grace)

    def _record(self) -> dict[str, Any]:
        box = self._failed or self._boxes[0]
        hosts = {each.box.name: each.code for each in self._boxes}
        said = {"code": box.code, "reason": self._reason or "exited", "message": self._message}
        return {**said, "host": box.box.name, "hosts": hosts}

    def abandon(self) -> None:
        """End what was started before the start as a whole failed."""
        for box in self._boxes:
            if box.code is None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(box.pidfd, guard.TELL)
                box.reap()

    def finish_logs(self) -> int:
        """Flush every log; how many lines were dropped. The groups of the dead sandboxes go too."""
        for log in self._logs:
            with contextlib.suppress(OSError):
                log.end(self._disk)
        for group in self._groups:
            if group is not None:
                group.remove()
        if self._network is not None:
            self._network.end()
        if self._linked:
            with contextlib.suppress(OSError):
                Path(self._spec.link).unlink()
        return sum(log.dropped for log in self._logs)


def _how(code: int) -> str:
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"ended with exit code {code} ({signal.Signals(code - 128).name})"
    return f"ended with exit code {code}"


def _secrets(spec: Spec) -> int:
    descriptor = os.memfd_create("secrets", os.MFD_CLOEXEC)
    write_all(descriptor, json.dumps(dict(spec.secrets)).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _is_ours(link: Path) -> bool:
    """Whether a killed supervisor left it: it leads to an attempt's files, or to where some were."""
    target = link.readlink()
    return not target.exists() or (target.parent.parent / records.STARTED).exists()


def _try_flock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def give(path: str, uid: int) -> None:
    """Make ``uid`` the owner of a file or of a folder with all in it. Links inside are not followed; a file with
    several names may be someone else's and stays."""
    path = os.path.realpath(path)
    os.chown(path, uid, uid)
    for root, folders, files, descriptor in os.fwalk(path):
        del root
        for name in (*folders, *files):
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
                os.chown(name, uid, uid, dir_fd=descriptor, follow_symlinks=False)
