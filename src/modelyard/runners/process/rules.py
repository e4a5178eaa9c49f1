"""What all sandboxes of one installation share, and how an attempt or a worker becomes what a supervisor runs.

Owns the choice of what a sandbox shows beside its own files. Refuses to know why something runs.
"""

from __future__ import annotations

import ipaddress
import os
import site
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import modelyard
from modelyard.runners.process.limits import Limits
from modelyard.runners.process.networks import NO_PORTS, Uplink
from modelyard.runners.process.probe import SandboxReport, probe
from modelyard.runners.process.sandbox import ML, UNPRIVILEGED, Bind, readable_binds
from modelyard.runners.process.spec import Spec

_CONFIGURATIONS = ("pip.conf", ".condarc", "condarc")


@dataclass(frozen=True, slots=True)
class Rules:
    """``supervisor`` is the command of app/supervisor.py; ``hidden`` the data directory and other folders that no
    sandbox shows; ``server_lock`` is held by a live server."""

    supervisor: tuple[str, ...]
    hidden: tuple[Path, ...]
    server_lock: Path
    processes: int = 1024
    file_bytes: int = 100 << 30
    log_bytes: int = 1 << 30
    patience: float = 900.0
    """Seconds after which an endpoint worker ends when no server has held ``server_lock``."""
    allow_unsandboxed: bool = False
    """Whether models, and jobs that must not use the network, run where no sandbox can be made."""
    probe: Callable[[tuple[str, ...]], SandboxReport] = probe
    link: str = ML
    """Where a link leads to a job's files that names /opt/ml itself, without a sandbox."""

    def limits(self, memory: int, cpu_weight: float, cpu_seconds: int | None = None, background: bool = True) -> Limits:
        return Limits(
            memory=memory,
            processes=self.processes,
            file_bytes=self.file_bytes,
            log_bytes=self.log_bytes,
            cpu_weight=cpu_weight,
            cpu_seconds=cpu_seconds,
            background=background,
        )

    def covers(self) -> tuple[str, ...]:
        """What no sandbox shows: ``hidden``, and what beside the interpreter may hold the password of an index."""
        given = [path for hidden in self.hidden for path in (hidden.absolute(), hidden.resolve())]
        for prefix in (Path(sys.prefix), Path(sys.base_prefix)):
            found = [folder / name for folder in (prefix, prefix.resolve()) for name in _CONFIGURATIONS]
            given += [path.resolve() if path.is_symlink() else path for path in found if path.is_file()]
        return tuple(sorted(set(map(str, given))))

    def readable(self, further: Iterable[Path]) -> tuple[Bind, ...]:
        """This interpreter, its libraries and this package, and ``further``, each at its own place."""
        own = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()]
        own += [str(Path(sys.executable).parent), str(Path(modelyard.__file__).parent)]
        return readable_binds([*own, *map(str, further)], self.covers())

    def report(self) -> SandboxReport:
        """What this machine gives; found out at the first call."""
        return self.probe(self.supervisor)

    def sandboxed(self, spec: Spec, *, fixed_paths: bool = False) -> Spec:
        """``spec`` for the tier that this machine gives; ``fixed_paths``: without a sandbox it needs /opt/ml."""
        report = self.report()
        if report.tier == "bubblewrap":
            uplink = spec.uplink._replace(pasta=report.pasta) if spec.uplink is not None and report.pasta else None
            uid = UNPRIVILEGED if os.geteuid() == 0 else None
            return spec._replace(tier=report.tier, bwrap=report.bwrap, uid=uid, uplink=uplink)
        refusal = ""
        if not self.allow_unsandboxed and any(box.private_network for box in spec.boxes):
            refusal = report.refuses("A job that must not use the network")
        return spec._replace(tier=report.tier, refusal=refusal, link=self.link if fixed_paths else "")


def way_to(url: str) -> Uplink | None:
    """What a network of its own needs to reach ``url`` as the host does; None where that cannot be had: of the host's
    loopback only 127.0.0.1 and ::1 can be shown."""
    split = urlsplit(url)
    host, port = split.hostname or "", split.port or (443 if split.scheme == "https" else 80)
    try:
        addresses = [ipaddress.ip_address(host)]
    except ValueError:
        try:
            found = {entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        except OSError:
            return NO_PORTS
        addresses = [ipaddress.ip_address(str(text).partition("%")[0]) for text in found]
    if not any(address.is_loopback for address in addresses):
        return NO_PORTS
    if {str(address) for address in addresses} <= {"127.0.0.1", "::1"}:
        return Uplink("", (port,), six=all(address.version == 6 for address in addresses))
    return None


def variables(given: Mapping[str, str], command: tuple[str, ...]) -> dict[str, str]:
    """The environment of a sandbox: nothing of the server's, a few defaults, then ``given``."""
    own_programs = [str(Path(command[0]).parent)] if Path(command[0]).is_absolute() else []
    defaults = {
        "PATH": ":".join(dict.fromkeys([*own_programs, "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"])),
        "HOME": "/tmp",  # noqa: S108
        "TMPDIR": "/tmp",  # noqa: S108
        "USER": "modelyard",
        "LOGNAME": "modelyard",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **given}
