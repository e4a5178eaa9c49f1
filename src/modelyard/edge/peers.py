"""Whether a connection from this machine was opened by a sandboxed job of ours.

The kernel's socket table names the peer's user and inode; a job's process lives in another user namespace. A peer
that is local and cannot be found counts as a job: only anonymous access hangs on it. Reads /proc alone; Linux.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

Address = tuple[str, int]
Connection = tuple[Address, Address]
"""The peer's end and ours."""


def is_local(peer: str) -> bool:
    """Whether an address is one of this machine's."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if address.is_loopback or getattr(address, "ipv4_mapped", None):
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


class Peers:
    """Finds out for many connections at once; one thread at a time. Holders found are looked at first next time."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._recent: deque[str] = deque(maxlen=16)

    def are_from_jobs(self, connections: Sequence[Connection], sandbox_uids: Collection[int]) -> list[bool]:
        """For each TCP connection of this machine: does the process that holds the peer's end live in a sandbox?

        Takes milliseconds; call it in a thread. Raises OSError when /proc cannot be read.
        """
        ours = {os.getuid(), *sandbox_uids}
        owners = self._owners(connections)
        asked = {owner[1] for owner in owners if owner is not None and owner[0] in ours}
        outside = self._held_in_our_namespace({f"socket:[{inode}]": inode for inode in asked}, ours)
        return [owner is None or (owner[1] in asked and owner[1] not in outside) for owner in owners]

    def _owners(self, connections: Sequence[Connection]) -> list[tuple[int, int] | None]:
        """User id and inode of the socket at each peer's end."""
        wanted: dict[tuple[str, str], int] = {}
        for index, (peer, own) in enumerate(connections):
            for a, b in zip(_hex(peer[0]), _hex(own[0]), strict=True):
                wanted[f"{a}:{peer[1]:04X}", f"{b}:{own[1]:04X}"] = index
        found: list[tuple[int, int] | None] = [None] * len(connections)
        for table in ("tcp", "tcp6"):
            path = self._proc / "net" / table
            if not path.exists():
                continue
            for line in path.read_text().splitlines()[1:]:
                fields = line.split(None, 10)
                index = wanted.get((fields[1], fields[2]), -1)
                if index >= 0:
                    found[index] = int(fields[7]), int(fields[9])
        return found

    def _held_in_our_namespace(self, links: dict[str, int], uids: Collection[int]) -> set[int]:
        """Those of the inodes that a process beside us has open."""
        held: set[int] = set()
        ours = (self._proc / "self" / "ns" / "user").readlink()
        recent = tuple(self._recent)
        others = (f.name for f in self._proc.iterdir() if f.name.isdigit() and f.name not in recent)
        for pid in chain(recent, others):
            if len(held) == len(links):
                break
            folder = self._proc / pid
            try:
                if folder.stat().st_uid not in uids or (folder / "ns" / "user").readlink() != ours:
                    continue
                found = {links[link] for link in _open_sockets(folder / "fd") if link in links}
            except OSError:
                continue
            if found and pid not in self._recent:
                self._recent.append(pid)
            held |= found
        return held


def _open_sockets(folder: Path) -> Iterator[str]:
    for fd in os.scandir(folder):
        with suppress(OSError):
            yield os.readlink(fd.path)  # noqa: PTH115 - one of thousands; no Path for each


def _hex(text: str) -> tuple[str, str]:
    """An address as the two tables write it: its own form, and an IPv4 one also mapped into IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    plain = _words(address.packed)
    return plain, _words(bytes(10) + b"\xff\xff" + address.packed) if address.version == 4 else plain


def _words(packed: bytes) -> str:
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
