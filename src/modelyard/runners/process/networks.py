"""A network namespace that the sandboxes of one job share, and its way out through pasta (https://passt.top).

Owns the namespace, the process that keeps it and pasta beside it, both under a guard that ends with the supervisor.
What is inside reaches what the host reaches, of the host's own loopback the ``ports`` named and no other, and is
itself reached by nobody. Refuses to know what runs in it. Part of the supervisor: nothing slow to import.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

from modelyard.runners.process import guard, kernel
from modelyard.runners.process.limits import Limits, step_back

RESOLVER = "169.254.1.1"
"""Inside: a name server that stands for the host's own on its loopback."""
_FOUR = ("-a", "169.254.2.1", "-n", "30", "-g", "169.254.2.2")
_SIX = ("-a", "fd00:6d79::1", "-g", "fd00:6d79::2")
_OFFLINE = ("-i", "lo", "-M", "02:6d:79:00:00:01")
"""Without a route there is no interface to be like; what is given instead lets the forwarded ports work."""
_CLOSED = ("-t", "none", "-u", "none", "-U", "none", "--no-map-gw")
_WITHIN = 10.0
_PAUSE = 0.001
_TUN = "/dev/net/tun"
_TUN_DEVICE = os.makedev(10, 200)
_LISTENS = "0A"


class Uplink(NamedTuple):
    """How a namespace is connected: by the program ``pasta``; ``ports`` are TCP ports of the host's loopback that
    answer at the same place inside, ``six``: at ::1 even where the host has no way out by IPv6."""

    pasta: str
    ports: tuple[int, ...] = ()
    six: bool = False


NO_PORTS = Uplink("")
"""Before it is known which pasta: out, but to nothing of the host's loopback."""


class CannotConnect(Exception):
    """The network could not be made; the text says why."""


class Network:
    """A namespace while it is there. ``pid`` is its guard, our child."""

    def __init__(self, pid: int, said: int, keeper: int, uplink: Uplink | None) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._said = said
        self._keeper = keeper
        self._uplink = uplink
        self._user = os.open(f"/proc/{keeper}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        self._net = os.open(f"/proc/{keeper}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move this process, which runs as the sandboxes' user, into it."""
        kernel.join(self._user, kernel.CLONE_NEWUSER)
        kernel.join(self._net, kernel.CLONE_NEWNET)

    def wait_connected(self) -> None:
        """Return when it is connected. Raises CannotConnect with what pasta said when it is not in time."""
        if self._uplink is None:
            return
        end = time.monotonic() + _WITHIN
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        while not _is_connected(self._keeper, self._uplink):
            if poller.poll(_PAUSE * 1000) or time.monotonic() > end:
                raise CannotConnect(f"{self._uplink.pasta}: {self._words() or 'it did not come up'}")

    def _words(self) -> str:
        text = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._said, 4096):
                text += part
        lines = [line for line in text.decode(errors="replace").splitlines() if "syslog" not in line]
        return "; ".join(lines)[-500:]

    def end(self) -> None:
        """End the keeper and pasta; what still runs inside is left with a loopback."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, guard.TELL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        for descriptor in (self.pidfd, self._said, self._user, self._net):
            os.close(descriptor)


def make(uid: int | None, lock: int, limits: Limits, uplink: Uplink | None) -> Network:
    """A new namespace, connected as ``uplink`` says or to nothing. ``uid``: the sandboxes' user, where we are root;
    ``lock`` is kept open by the guard. Raises CannotConnect, or OSError where the kernel refuses."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    said, say = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(said, False)

    def become() -> None:
        step_back(limits)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(say, 1)
        os.dup2(say, 2)
        _keep_and_connect(uid, tell, uplink)

    supervisor = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {guard.TELL})
    pid = os.fork()
    if pid == 0:
        try:
            guard.guard(supervisor, lock, become, lambda: None)
        except BaseException as error:  # noqa: BLE001  (a forked child must never return)
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(guard.FAILED)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {guard.TELL})
    os.close(tell)
    os.close(say)
    keeper = os.read(told, 32)
    os.close(told)
    if not keeper:
        os.waitpid(pid, 0)
        raise CannotConnect(f"no network namespace: {os.read(said, 1000).decode(errors='replace').strip()}")
    return Network(pid, said, int(keeper), uplink)


def _keep_and_connect(uid: int | None, tell: int, uplink: Uplink | None) -> NoReturn:
    """Fork the process that keeps the namespace, and turn into pasta beside it."""
    if uplink is not None and uid is not None:
        open_tunnels()
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        kernel.allow_looking()
    made, done = os.pipe2(os.O_CLOEXEC)
    here = os.getpid()
    keeper = os.fork()
    if keeper == 0:
        _keep(here, done)
    os.close(done)
    if not os.read(made, 1):
        os._exit(guard.FAILED)
    os.write(tell, str(keeper).encode())
    os.close(tell)
    if uplink is None:
        os.waitpid(keeper, 0)
        os._exit(guard.FAILED)
    arguments = [uplink.pasta, *_options(uplink), str(keeper)]
    kernel.die_with_parent(os.getppid())
    os.execve(uplink.pasta, arguments, {})  # noqa: S606


def _keep(parent: int, done: int) -> NoReturn:
    try:
        enter_new()
        kernel.die_with_parent(parent)
        os.write(done, b"x")
        os.close(done)
        while True:
            signal.pause()
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(guard.FAILED)


def enter_new() -> None:
    """Move this process into a user and a network namespace of its own, whose loopback is up."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    kernel.raise_loopback()


def _options(uplink: Uplink) -> list[str]:
    interface, six = _way_out("route"), uplink.six or _way_out("ipv6_route")
    options = ["-f", "-q", "--config-net", "-I", "net0", *_CLOSED]
    options += ["-T", ",".join(map(str, uplink.ports)) if uplink.ports else "none"]
    options += ["-i", interface] if interface else _OFFLINE
    options += [*_FOUR, *(_SIX if six else ("-4",))]
    if local_resolver():
        options += ["--dns-forward", RESOLVER]
    return options


def _way_out(table: str) -> str:
    """The interface that leads to the rest of the world by one of the kernel's two tables; empty: none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net", table).read_text().splitlines():
            fields = line.split()
            if table == "route" and fields[1] == fields[7] == "00000000":
                return fields[0]
            if table == "ipv6_route" and set(fields[0]) == {"0"} and fields[1] == "00" and fields[-1] != "lo":
                return fields[-1]
    return ""


def local_resolver(path: Path = Path("/etc/resolv.conf")) -> bool:
    """Whether the host asks a name server of its own loopback, which nothing inside would reach."""
    with contextlib.suppress(OSError):
        return any(_names_loopback(line) for line in path.read_text(errors="replace").splitlines())
    return False


def resolver_file(path: Path = Path("/etc/resolv.conf")) -> bytes:
    """The host's resolv.conf for a namespace: ``RESOLVER`` in place of a name server on loopback."""
    lines = path.read_text(errors="replace").splitlines()
    changed = [f"nameserver {RESOLVER}" if _names_loopback(line) else line for line in lines]
    return ("\n".join(dict.fromkeys(changed)) + "\n").encode()


def _names_loopback(line: str) -> bool:
    words = line.split()
    return words[:1] == ["nameserver"] and len(words) > 1 and (words[1].startswith("127.") or words[1] == "::1")


def _is_connected(keeper: int, uplink: Uplink) -> bool:
    net = Path(f"/proc/{keeper}/net")
    with contextlib.suppress(OSError):
        if len((net / "route").read_text().splitlines()) < 2:
            return False
        lines = (net / ("tcp6" if uplink.six else "tcp")).read_text().splitlines()[1:]
        listening = {int(fields[1].rpartition(":")[2], 16) for line in lines if (fields := line.split())[3] == _LISTENS}
        return listening.issuperset(uplink.ports)
    return False


def open_tunnels() -> None:
    """Show this process a tunnel device that an unprivileged user may open, where the machine's own is root's."""
    with contextlib.suppress(OSError):
        if Path(_TUN).stat().st_mode & 0o006 == 0o006:
            return
    kernel.own_mounts()
    place = "/tmp/tun"  # noqa: S108  (in memory, in this process's own mounts)
    kernel.mount_memory("/tmp", devices=True)  # noqa: S108
    os.mknod(place, 0o666 | stat.S_IFCHR, _TUN_DEVICE)
    os.chmod(place, 0o666)  # noqa: PTH101, S103
    device = os.open(place, os.O_PATH | os.O_CLOEXEC)
    kernel.bind(device, _TUN)
    os.close(device)
    kernel.unmount("/tmp")  # noqa: S108
