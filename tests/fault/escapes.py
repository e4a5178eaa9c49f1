"""What user code may try to get out of its sandbox: run inside, prints what it got as JSON.

Standard library only; a try that works changes nothing outside, as far as one can see that it works without.
``sys.argv[1]`` names the things outside that are to stay out of reach. An escape that
works answers a text; one that is refused raises OSError or answers None. Unsandboxed, many of them work, which a
test uses to see that they can.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

if os.geteuid() == 0:
    sys.exit("never as root: where no sandbox holds, this changes the machine")

FACTS: dict[str, Any] = json.loads(sys.argv[1])
LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
MNT_DETACH = 2
TRIES: dict[str, Callable[[], str | None]] = {}
WAYS_BACK = ("127.0.0.1", "::1", "169.254.2.2", "fd00:6d79::2", "169.254.1.1", *FACTS["gateways"])
"""Addresses by which the host's loopback might be reached: its own, and those that pasta could give a meaning."""
INHERITED = [number for number in range(256) if Path(f"/proc/self/fd/{number}").exists()]


def attempt(function: Callable[[], str | None]) -> Callable[[], str | None]:
    TRIES[function.__name__] = function
    return function


def check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def secret_in(path: str) -> str | None:
    return f"read {path}" if FACTS["secret"] in Path(path).read_text(errors="replace") else None


def first(*tries: Callable[[], str | None]) -> str | None:
    """The first that works."""
    for one in tries:
        try:
            if said := one():
                return said
        except OSError:
            continue
    return None


@attempt
def remount_root_writable() -> str | None:
    for path in (b"/", b"/usr", b"/etc/ssl", FACTS["prefix"].encode()):
        if LIBC.mount(b"none", path, None, MS_REMOUNT | MS_BIND, None) == 0:
            return f"remounted {path!r}"
        if LIBC.mount(b"none", path, None, MS_REMOUNT, None) == 0:
            return f"remounted {path!r}"
    return None


@attempt
def unmount_and_read_below() -> str | None:
    for path in (b"/tmp", b"/dev/shm", b"/dev", b"/proc", b"/opt/ml", b"/usr", FACTS["data"].encode()):
        if LIBC.umount2(path, MNT_DETACH) == 0:
            return f"unmounted {path!r}"
    return None


@attempt
def mount_anything() -> str | None:
    check(LIBC.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None))
    return "mounted a tmpfs"


@attempt
def new_user_namespace() -> str | None:
    check(LIBC.unshare(0x10000000))
    return "made a user namespace"


@attempt
def new_mount_namespace() -> str | None:
    check(LIBC.unshare(0x00020000))
    return "made a mount namespace"


@attempt
def child_in_new_user_namespace() -> str | None:
    pid = LIBC.syscall(56, 0x10000000 | signal.SIGCHLD, None, None, None, None)
    if pid == 0:
        os._exit(0)
    check(pid)
    os.waitpid(pid, 0)
    return "cloned into a user namespace"


@attempt
def enter_namespaces_of_others() -> str | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            for kind in ("mnt", "user", "net", "pid"):
                try:
                    handle = os.open(entry / "ns" / kind, os.O_RDONLY)
                except OSError:
                    continue
                if LIBC.setns(handle, 0) == 0:
                    return f"entered {entry}/ns/{kind}"
    return None


@attempt
def read_files_of_the_server() -> str | None:
    return first(*(lambda path=path: secret_in(path) for path in FACTS["secret_files"]))


@attempt
def read_them_through_proc() -> str | None:
    roots = [
        f"/proc/{pid}/{way}" for pid in ("1", "self", "2") for way in ("root", "cwd", "root/oldroot", "root/newroot")
    ]
    tries = [f"{root}{path}" for root in roots for path in FACTS["secret_files"]]
    return first(*(lambda path=path: secret_in(path) for path in tries))


@attempt
def climb_out_of_a_mount() -> str | None:
    up = "/opt/ml" + "/.." * 20
    return first(*(lambda path=path: secret_in(f"{up}{path}") for path in FACTS["secret_files"]))


@attempt
def chroot_and_climb() -> str | None:
    Path("/tmp/jail").mkdir()
    os.chroot("/tmp/jail")
    return "changed the root"


@attempt
def see_home_folders() -> str | None:
    for folder in ("/root", "/home"):
        seen = [path.name for path in Path(folder).iterdir() if path.name not in FACTS["shown_homes"]]
        if seen:
            return f"{folder} shows {seen}"
    return None


@attempt
def open_by_handle() -> str | None:
    handle = struct.pack("IiQ", 8, 1, 2)
    mount = os.open("/opt/ml", os.O_RDONLY)
    buffer = ctypes.create_string_buffer(handle)
    check(LIBC.open_by_handle_at(mount, buffer, os.O_RDONLY))
    return "opened the file system's root by handle"


@attempt
def write_to_the_system() -> str | None:
    places = [
        "/usr/x",
        "/usr/bin/x",
        "/etc/x",
        "/x",
        "/bin/x",
        "/lib/x",
        "/dev/x",
        "/sys/x",
        "/run/x",
        "/run/modelyard/x",
    ]
    places += [
        f"{FACTS['prefix']}/x",
        f"{FACTS['package']}/x",
        "/etc/passwd",
        "/etc/hosts",
        "/run/modelyard/worker.json",
    ]

    def write(path: str) -> str:
        there = Path(path).exists()
        os.close(os.open(path, os.O_WRONLY | (0 if there else os.O_CREAT | os.O_EXCL)))
        if not there:
            Path(path).unlink()
        return f"can write {path}"

    return first(*(lambda path=path: write(path) for path in places))


@attempt
def write_kernel_settings() -> str | None:
    def write(path: str) -> str:
        os.close(os.open(path, os.O_WRONLY))
        return f"can write {path}"

    paths = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches")
    return first(*(lambda path=path: write(path) for path in paths))


@attempt
def trace_other_processes() -> str | None:
    for pid in (FACTS["sentinel"], FACTS["server"]):
        if LIBC.ptrace(16, pid, 0, 0) == 0:
            return f"attached to {pid}"
    return None


@attempt
def kill_other_processes() -> str | None:
    os.kill(FACTS["sentinel"], 0)
    return "can signal a process outside"


@attempt
def see_other_processes() -> str | None:
    seen = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return f"sees {len(seen)} processes" if len(seen) > 5 else None


@attempt
def environment_of_the_first_process() -> str | None:
    return secret_in("/proc/1/environ")


@attempt
def reach_the_server_over_loopback() -> str | None:
    if FACTS["network"] == "host":
        return None
    return first(*(lambda place=place: connected(place) for place in WAYS_BACK))


def connected(place: str) -> str:
    socket.create_connection((place, FACTS["port"]), timeout=0.5).close()
    return f"connected to {place}"


@attempt
def reach_it_by_udp() -> str | None:
    for place in WAYS_BACK if FACTS["network"] != "host" else ():
        with contextlib.suppress(OSError), socket.socket(family(place), socket.SOCK_DGRAM) as sender:
            sender.sendto(b"out", (place, FACTS["udp"]))
    return None  # the other side says whether it came


def family(place: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in place else socket.AF_INET


@attempt
def reach_abstract_sockets() -> str | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + FACTS["abstract"])
    return "connected to an abstract socket outside"


@attempt
def reach_sockets_of_the_server() -> str | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(FACTS["socket"])
    return "connected to a socket in the data directory"


@attempt
def see_other_networks() -> str | None:
    names = {name for _, name in socket.if_nameindex()} - ({"net0"} if FACTS["network"] == "own" else set())
    return f"sees {names}" if FACTS["network"] != "host" and names != {"lo"} else None


@attempt
def use_inherited_descriptors() -> str | None:
    known = {0, 1, 2, *(int(value) for name, value in os.environ.items() if name.endswith("_FD"))}
    found = [number for number in INHERITED if number not in known]
    return f"inherited {found}" if found else None


@attempt
def make_devices() -> str | None:
    os.mknod("/tmp/disk", 0o600 | 0o060000, os.makedev(8, 0))
    return "made a block device"


@attempt
def become_root_by_setuid() -> str | None:
    for program in ("/usr/bin/su", "/usr/bin/sudo", "/usr/bin/newgrp", "/bin/mount"):
        if Path(program).exists():
            done = subprocess.run([program, "-c", "id -u"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
            if done.stdout.strip() == b"0":
                return f"{program} made us root"
    status = Path("/proc/self/status").read_text()
    return None if "NoNewPrivs:\t1" in status else "new privileges are not forbidden"


@attempt
def set_ids() -> str | None:
    os.setuid(0)
    return "became root"


@attempt
def keep_capabilities() -> str | None:
    lines = Path("/proc/self/status").read_text().splitlines()
    held = [line for line in lines if line.startswith(("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"))]
    return str(held) if any(int(line.split()[1], 16) for line in held) else None


@attempt
def push_input_to_the_terminal() -> str | None:
    terminal = os.open("/dev/tty", os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    return "pushed a character"


@attempt
def raise_limits() -> str | None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if hard == resource.RLIM_INFINITY:
        return "processes are not limited"
    try:
        resource.setrlimit(resource.RLIMIT_NPROC, (hard + 1, hard + 1))
    except ValueError as error:
        raise OSError(str(error)) from error
    return "raised a hard limit"


@attempt
def read_the_servers_keyring() -> str | None:
    key = LIBC.syscall(250, 10, ctypes.c_int(-3), b"user", b"modelyard-test", 0)
    return "found a key of the session" if key > 0 else None


@attempt
def control_groups() -> str | None:
    for path in Path("/sys/fs").glob("cgroup/**/cgroup.procs") if Path("/sys/fs/cgroup").is_dir() else ():
        path.write_text(str(os.getpid()))
        return f"moved to {path}"
    return None


@attempt
def change_the_machine() -> str | None:
    if LIBC.sethostname(b"x", 1) == 0:
        return "set the host's name"
    if LIBC.syscall(321, 5, None, 0) >= 0:
        return "loaded a BPF program"
    return None


@attempt
def plant_a_link_in_out() -> str | None:
    out = Path("/run/modelyard/out")
    (out / "ready").symlink_to(FACTS["secret_files"][0])
    (out / "metrics.jsonl").symlink_to(FACTS["secret_files"][0])
    (out / "tree").symlink_to("/")
    return None  # whether it is followed, the other side says


def main() -> None:
    got: dict[str, str] = {}
    for name, function in TRIES.items():
        child_reads, child_writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = None
            try:
                said = function()
            except OSError:
                pass
            except BaseException as error:  # noqa: BLE001
                said = f"the test itself failed: {error!r}"
            os.write(child_writes, (said or "").encode())
            os._exit(0)
        os.close(child_writes)
        os.waitpid(pid, 0)
        if text := os.read(child_reads, 4096).decode():
            got[name] = text
        os.close(child_reads)
    print("TRIED", len(TRIES))
    print("GOT", json.dumps(got), flush=True)


if __name__ == "__main__":
    main()
