"""Whether a connection from this machine was opened by a sandboxed job of ours.

The kernel's socket table names the peer's user and inode; a job's process lives in another user namespace. A peer
that is local and cannot be found counts as a job: only anonymous access hangs on it. Reads /proc alone; Linux.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Collection
from pathlib import Path

Address = tuple[str, int]


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


def is_from_job(peer: Address, own: Address, sandbox_uids: Collection[int], proc: Path = Path("/proc")) -> bool:
    """Whether the process that holds the peer's end of a TCP connection of this machine lives in a sandbox.

    Takes milliseconds; call it in a thread.
    """
    found = _owner(peer, own, proc)
    if found is None:
        return True
    uid, inode = found
    ours = {os.getuid(), *sandbox_uids}
    if uid not in ours:
        return False
    return not _held_in_our_namespace(f"socket:[{inode}]", ours, proc)


def _owner(peer: Address, own: Address, proc: Path) -> tuple[int, int] | None:
    """User id and inode of the socket bound to ``peer`` and connected to ``own``."""
    wanted = [(f"{a}:{peer[1]:04X}", f"{b}:{own[1]:04X}") for a, b in zip(_hex(peer[0]), _hex(own[0]), strict=True)]
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                return int(fields[7]), int(fields[9])
    return None


def _hex(text: str) -> tuple[str, str]:
    """An address as the two tables write it: its own form, and an IPv4 one also mapped into IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    plain = _words(address.packed)
    return plain, _words(bytes(10) + b"\xff\xff" + address.packed) if address.version == 4 else plain


def _words(packed: bytes) -> str:
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def _held_in_our_namespace(link: str, uids: Collection[int], proc: Path) -> bool:
    ours = (proc / "self" / "ns" / "user").readlink()
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid not in uids or (folder / "ns" / "user").readlink() != ours:
                continue
            for fd in os.scandir(folder / "fd"):
                if os.readlink(fd.path) == link:  # noqa: PTH115 - one of thousands; no Path for each
                    return True
        except OSError:
            continue
    return False
