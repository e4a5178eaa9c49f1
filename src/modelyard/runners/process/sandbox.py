"""What one sandbox shows, as arguments of bubblewrap (https://github.com/containers/bubblewrap, bwrap(1)).

Owns the list of what user code sees of this machine: an allow-list on an empty root, so that home folders, the
data directory, keys and other jobs are not there at all. Refuses to start anything. Pure but for looking at
which system folders exist. Part of the supervisor, hence NamedTuple: dataclasses are slow to import.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

INSIDE_UID = 1000
UNPRIVILEGED = 65_533
"""The user that sandboxes of a server run by root turn into; it owns nothing else (65534 is nobody's)."""
ML = "/opt/ml"
RUN = "/run/modelyard"

_ALWAYS = (
    *("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
    *("--unshare-cgroup-try", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID)),
    *("--cap-drop", "ALL", "--new-session", "--die-with-parent"),
)
_TOP = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM = ("/usr", "/nix/store", "/gnu/store", "/sys/devices/system")
_ETC = (
    *("alternatives", "ca-certificates", "crypto-policies", "fonts", "gai.conf", "host.conf", "ld.so.cache"),
    *("ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types", "nsswitch.conf", "os-release", "pki"),
    *("profile", "protocols", "resolv.conf", "services", "ssl", "terminfo", "timezone"),
)
_PASSWD = f"modelyard:x:{INSIDE_UID}:{INSIDE_UID}:Modelyard:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = f"modelyard:x:{INSIDE_UID}:\nnogroup:x:65534:\n"


class Bind(NamedTuple):
    """A host path shown at ``target``."""

    source: str
    target: str
    mode: Literal["ro", "rw"] = "ro"


class Box(NamedTuple):
    """One sandbox: what it runs and what it sees beside the system."""

    name: str
    log: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    binds: tuple[Bind, ...]
    hidden: tuple[str, ...]
    """Host folders and files that are not shown even where they lie below something shown; binds below them are."""
    hosts: tuple[str, ...] = ()
    """Names that resolve to 127.0.0.1."""
    private_network: bool = True
    shared_memory: int = 1 << 30
    """Bytes of /dev/shm, and of /tmp where no bind puts it on disk."""
    resolver: str = ""
    """The text of /etc/resolv.conf; empty: the machine's own."""


def files(box: Box) -> dict[str, bytes]:
    """The made-up files: those below /etc by name, and empty ones over hidden files by path.

    To be called by whoever may see those.
    """
    names = "".join(f"127.0.0.1\t{name}\n" for name in box.hosts)
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{names}"
    found = {"passwd": _PASSWD, "group": _GROUP, "hosts": hosts}
    if box.resolver:
        found["resolv.conf"] = box.resolver
    shown = [*_SYSTEM, *_optional_software(), *(bind.target for bind in box.binds)]
    for path in box.hidden:
        if os.path.isfile(path) and any(within(path, folder) for folder in shown):  # noqa: PTH113
            found[path] = ""
    return {name: text.encode() for name, text in found.items()}


def arguments(box: Box, binds: Sequence[Bind], content: Mapping[str, int]) -> list[str]:
    """Bubblewrap's options for ``box``, given by file descriptor so that no variable shows in a process list.

    ``binds`` are the box's, their sources perhaps moved to where an unprivileged user reaches them; ``content``
    maps names of ``files`` to descriptors. Raises ValueError for text that an option cannot hold.
    """
    memory = str(box.shared_memory)
    options = [*_ALWAYS, "--hostname", box.hosts[0] if box.hosts else "modelyard"]
    if box.private_network:
        options.append("--unshare-net")
    options += _system(box.hidden, content)
    for name in (name for name in content if not name.startswith("/")):
        options += ["--ro-bind-data", str(content[name]), f"/etc/{name}"]
    options += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--size", memory, "--tmpfs", "/dev/shm"]  # noqa: S108
    options += ["--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    if not any(bind.target == "/tmp" for bind in binds):  # noqa: S108
        options += ["--size", memory, "--tmpfs", "/tmp"]  # noqa: S108
    options += _shown(binds, box.hidden, content)
    options += ["--chmod", "0755", "/", "--remount-ro", "/", "--clearenv"]
    for key, value in box.variables.items():
        options += ["--setenv", key, value]
    options += ["--chdir", ML]
    if any("\0" in option for option in options):
        raise ValueError("a variable or path holds a NUL character")
    return options


def _system(hidden: Sequence[str], made: Mapping[str, int]) -> list[str]:
    options: list[str] = []
    for path in _TOP:
        if os.path.islink(path):  # noqa: PTH114
            options += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        elif os.path.isdir(path):  # noqa: PTH112
            options += ["--ro-bind", path, path]
    shown = [Bind(path, path) for path in (*_SYSTEM, *_optional_software()) if os.path.isdir(path)]  # noqa: PTH112
    options += _shown(shown, hidden, made)
    for name in (name for name in _ETC if name not in made):
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return options


def system_folders() -> list[str]:
    """The system's own folders and files that every job may read, whether they exist or not."""
    return [*_TOP, *_SYSTEM, *_optional_software(), *(f"/etc/{name}" for name in _ETC)]


def _optional_software() -> list[str]:
    """What lies below /opt, which itself must be made anew to hold /opt/ml."""
    try:
        with os.scandir("/opt") as entries:
            return [entry.path for entry in entries if entry.path != ML and not entry.is_symlink() and _open(entry)]
    except OSError:
        return []


def _open(entry: os.DirEntry[str]) -> bool:
    """A folder that every user of the machine may read; what is closed is nobody's business."""
    return entry.is_dir() and entry.stat().st_mode & 0o005 == 0o005


def _shown(binds: Sequence[Bind], hidden: Sequence[str], made: Mapping[str, int]) -> list[str]:
    """Binds and covers, outer folders first: a cover hides what an outer bind shows, an inner bind shows again."""
    options: list[str] = []
    covers = [Bind("", path) for path in hidden if any(within(path, bind.target) for bind in binds)]
    for bind in sorted([*binds, *covers], key=lambda bind: bind.target.count("/")):
        if bind.source:
            options += ["--bind" if bind.mode == "rw" else "--ro-bind", bind.source, bind.target]
        elif bind.target in made:
            options += ["--ro-bind-data", str(made[bind.target]), bind.target]
        else:
            options += ["--tmpfs", bind.target]
    return options


def within(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def readable_binds(paths: Iterable[str], hidden: Sequence[str]) -> tuple[Bind, ...]:
    """Read-only binds at their own places of ``paths`` and of what they link to, without those that another one or
    a system folder shows already."""
    wanted = {os.path.abspath(path) for path in paths}  # noqa: PTH100
    wanted |= {os.path.realpath(path) for path in wanted}
    chosen: list[str] = []
    for path in sorted(wanted, key=len):
        if path != "/" and not any(_shows(outer, path, hidden) for outer in (*_TOP, *_SYSTEM, *chosen)):
            chosen.append(path)
    return tuple(Bind(path, path) for path in chosen)


def _shows(outer: str, path: str, hidden: Sequence[str]) -> bool:
    covered = any(within(path, cover) and within(cover, outer) for cover in hidden)
    return within(path, outer) and not covered
