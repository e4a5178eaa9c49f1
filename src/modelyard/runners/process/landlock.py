"""A second tier where the kernel gives no namespaces: a bare job is held to its own folders by Landlock (landlock(7)).

Owns what is allowed and what of it a kernel cannot hold. Files and, by port, TCP are all that Landlock knows: UDP,
Unix sockets with a path and the list of processes stay in reach, so that this is no place for code one distrusts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from modelyard.runners.process import kernel
from modelyard.runners.process.sandbox import Bind, Box, system_folders, within

_ETC = ("group", "hosts", "hostname", "passwd")
_READ = kernel.FS_EXECUTE | kernel.FS_READ_FILE | kernel.FS_READ_DIR
_DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero")
_PACKAGES = str(Path(__file__).resolve().parents[3])
"""Where this package lies: an interpreter finds it by listing that folder, which none of ``binds`` need show."""
_TCP_FROM, _SCOPES_FROM = 4, 6


def abi() -> int:
    """The version of Landlock that this kernel offers; 0: none."""
    return kernel.landlock_version()


def gaps(version: int) -> str:
    """What a kernel of this version does not hold, for people."""
    found = ["UDP", "Unix sockets", "the sight of other processes", "/dev/shm"]  # noqa: S108
    found += [] if version >= _TCP_FROM else ["TCP"]
    found += [] if version >= _SCOPES_FROM else ["signals to processes of the same user"]
    return f"{', '.join(found[:-1])} and {found[-1]}"


def confine(box: Box, *, alone: bool) -> None:
    """Hold this process, and what it starts, to what ``box`` shows, and to no TCP where its network is private.

    ``alone``: it has no sibling that it must meet over TCP. Root's capabilities go too. Raises OSError when the
    kernel refuses, ValueError when something hidden lies in a folder that must be shown.
    """
    readable = [*system_folders(), *(f"/etc/{name}" for name in _ETC), "/proc"]
    binds: Sequence[Bind] = box.binds
    readable += [bind.source for bind in binds if bind.mode == "ro"]
    writable = [bind.source for bind in binds if bind.mode == "rw"]
    shut = [path for path in box.hidden if any(within(path, os.path.realpath(shown)) for shown in readable)]
    if shut:
        raise ValueError(f"{shut[0]} lies in a folder that every job reads: move it, or install bubblewrap")
    everything = kernel.landlock_files()
    rules = [
        *_rules(readable, _READ),
        (_PACKAGES, kernel.FS_READ_DIR),
        *_rules([*writable, "/dev/shm"], everything),  # noqa: S108
        *_rules(_DEVICES, everything),
    ]
    kernel.landlock(rules, tcp=box.private_network and alone)
    kernel.drop_capabilities()


def _rules(paths: Iterable[str], allowed: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for path in paths:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116
        except OSError:
            continue
        found.append((path, allowed if stat.S_ISDIR(mode) else allowed & kernel.FS_OF_FILES))
    return found
