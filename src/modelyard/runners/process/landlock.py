"""A second tier where the kernel gives no namespaces: a bare job is held to its own folders by Landlock (landlock(7)).

Owns what is allowed and what of it a kernel cannot hold. Files and, by port, TCP are all that Landlock knows: UDP,
Unix sockets with a path and the list of processes stay in reach, so that this is no place for code one distrusts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
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
    kernel refuses.
    """
    readable = [*system_folders(), *(f"/etc/{name}" for name in _ETC), "/proc"]
    binds: Sequence[Bind] = box.binds
    readable += [bind.source for bind in binds if bind.mode == "ro"]
    writable = [bind.source for bind in binds if bind.mode == "rw"]
    everything = kernel.landlock_files()
    rules = [
        *(rule for path in readable for rule in _without(path, box.hidden)),
        (_PACKAGES, kernel.FS_READ_DIR),
        *_rules([*writable, "/dev/shm"], everything),  # noqa: S108
        *_rules(_DEVICES, everything),
    ]
    kernel.landlock(rules, tcp=box.private_network and alone)
    kernel.drop_capabilities()


def _without(path: str, hidden: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Reading of what lies below ``path`` but for ``hidden``: a rule cannot be taken back further down, so that a
    folder around something hidden is listed, and each of its other entries gets a rule."""
    here = os.path.realpath(path)
    shut = [cover for cover in hidden if within(os.path.realpath(cover), here)]
    if not shut:
        yield from _rules([path], _READ)
    elif here not in map(os.path.realpath, shut):
        yield path, kernel.FS_READ_DIR
        with os.scandir(here) as entries:
            for entry in sorted(entry.path for entry in entries if not entry.is_symlink()):
                yield from _without(entry, shut)


def _rules(paths: Iterable[str], allowed: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for path in paths:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116
        except OSError:
            continue
        found.append((path, allowed if stat.S_ISDIR(mode) else allowed & kernel.FS_OF_FILES))
    return found
