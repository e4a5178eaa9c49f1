"""The few system calls that Python 3.11 has no name for, through ctypes.

Owns their numbers and flags. Refuses to decide anything. Follows prctl(2), unshare(2), mount(2), netdevice(7)
and landlock(7). Part of the supervisor: nothing here may be slow to import.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import socket
import struct
from collections.abc import Sequence

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MS_NOSUID, _MS_NODEV = 0x2, 0x4
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING = 1
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION_FLAG = 1
_LANDLOCK_PATH_BENEATH = 1
_LANDLOCK_ABI_WITH_TCP, _LANDLOCK_ABI_WITH_SCOPES = 4, 6
_LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _LANDLOCK_SCOPE_SIGNAL = 1, 2
_LANDLOCK_SCOPES = _LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | _LANDLOCK_SCOPE_SIGNAL
_LANDLOCK_TCP = 3
_LANDLOCK_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many of the rights to files a version knows, from the first that knows so many."""
FS_EXECUTE, FS_READ_FILE, FS_READ_DIR = 1 << 0, 1 << 2, 1 << 3
FS_OF_FILES = FS_EXECUTE | 1 << 1 | FS_READ_FILE | 1 << 14 | 1 << 15
"""Rights that a rule on something else than a folder may name: to run, write, read, truncate, ioctl."""
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _prctl(option: int, value: int, what: str) -> None:
    unused = ctypes.c_ulong(0)
    _checked(_libc.prctl(option, ctypes.c_ulong(value), unused, unused, unused), what)


def die_with_parent(parent: int) -> None:
    """SIGKILL this process when its parent's thread ends; at once when ``parent`` has ended already.

    A change of user ids or of the program to a privileged one undoes it: call it last.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, "prctl(PR_SET_CHILD_SUBREAPER)")


def forbid_new_privileges() -> None:
    """No program started from here on gains rights from a setuid bit or file capabilities."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "prctl(PR_SET_NO_NEW_PRIVS)")


def allow_looking() -> None:
    """Let processes of the same user look at this one below /proc again, which a change of user forbids."""
    _prctl(_PR_SET_DUMPABLE, 1, "prctl(PR_SET_DUMPABLE)")


def unshare(flags: int) -> None:
    """Enter new namespaces (CLONE_NEW*). Raises OSError where the kernel refuses."""
    _checked(_libc.unshare(flags), "unshare")


def join(namespace: int, kind: int) -> None:
    """Enter the namespace behind a descriptor; ``kind`` is its CLONE_NEW*."""
    _checked(_libc.setns(namespace, kind), "setns")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encode = os.fsencode
    _checked(
        _libc.mount(
            encode(source),
            encode(target),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            options.encode() if options else None,
        ),
        f"mount {target}",
    )


def own_mounts() -> None:
    """A private copy of the mounts: what is mounted from here on is seen by this process's children alone."""
    unshare(CLONE_NEWNS)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)


def mount_memory(target: str, *, devices: bool = False) -> None:
    """An empty folder in memory over ``target``, which others may enter but not write."""
    _mount("tmpfs", target, "tmpfs", _MS_NOSUID | (0 if devices else _MS_NODEV), "mode=755,size=1m")


def unmount(target: str) -> None:
    """Take away what is mounted on top at ``target``; what is open in it stays open."""
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def bind(descriptor: int, target: str) -> None:
    """Show the file or folder behind an O_PATH descriptor, with all mounted below it, at ``target`` too."""
    _mount(f"/proc/self/fd/{descriptor}", target, None, _MS_BIND | _MS_REC)


def raise_loopback() -> None:
    """Bring up ``lo`` of this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def leave_keyring() -> None:
    """Start with an empty session keyring, not that of whoever started the server."""
    number = _KEYCTL.get(platform.machine())
    if number is not None:
        _libc.syscall(ctypes.c_long(number), ctypes.c_long(_KEYCTL_JOIN_SESSION_KEYRING), None)


def scope_ipc() -> bool:
    """Cut this process and its children off from abstract Unix sockets and signals outside of them.

    False where the kernel knows no Landlock scopes (before 6.12); needs ``forbid_new_privileges`` first.
    """
    if landlock_version() < _LANDLOCK_ABI_WITH_SCOPES:
        return False
    try:
        _landlock_restrict(_landlock_ruleset(0, 0, _LANDLOCK_SCOPES))
    except OSError:
        return False
    return True


def landlock_version() -> int:
    """What this kernel knows of Landlock; 0: nothing."""
    version = _libc.syscall(
        ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION_FLAG)
    )
    return max(0, int(version))


def landlock_files() -> int:
    """Every right to files that this kernel can hold."""
    version = landlock_version()
    return (1 << max(count for first, count in _LANDLOCK_FILES.items() if first <= version)) - 1


def landlock(rules: Sequence[tuple[str, int]], *, tcp: bool) -> None:
    """Hold this process and its children to these rights below these paths; ``tcp``: to no TCP either, where the
    kernel can; to its own signals and abstract sockets, where it can. Needs ``forbid_new_privileges`` first."""
    version, every = landlock_version(), landlock_files()
    net = _LANDLOCK_TCP if tcp and version >= _LANDLOCK_ABI_WITH_TCP else 0
    ruleset = _landlock_ruleset(every, net, _LANDLOCK_SCOPES if version >= _LANDLOCK_ABI_WITH_SCOPES else 0)
    for path, allowed in rules:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", allowed & every, opened))
        added = _libc.syscall(
            ctypes.c_long(_LANDLOCK_ADD_RULE),
            ctypes.c_int(ruleset),
            ctypes.c_int(_LANDLOCK_PATH_BENEATH),
            rule,
            ctypes.c_uint32(0),
        )
        os.close(opened)
        _checked(added, f"landlock_add_rule {path}")
    _landlock_restrict(ruleset)


def _landlock_ruleset(files: int, net: int, scopes: int) -> int:
    handled = (files, net, scopes)
    version = landlock_version()
    known = 3 if version >= _LANDLOCK_ABI_WITH_SCOPES else 2 if version >= _LANDLOCK_ABI_WITH_TCP else 1
    text = struct.pack(f"{known}Q", *handled[:known])
    made = _libc.syscall(
        ctypes.c_long(_LANDLOCK_CREATE_RULESET),
        ctypes.create_string_buffer(text),
        ctypes.c_size_t(len(text)),
        ctypes.c_uint32(0),
    )
    return _checked(made, "landlock_create_ruleset")


def _landlock_restrict(ruleset: int) -> None:
    try:
        done = _libc.syscall(ctypes.c_long(_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0))
        _checked(done, "landlock_restrict_self")
    finally:
        os.close(ruleset)


def drop_capabilities() -> None:
    """Give up every capability; after ``forbid_new_privileges`` no program started from here on regains one."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    _checked(_libc.capset(header, ctypes.create_string_buffer(24)), "capset")
