"""``modelyard doctor``: what this machine can and cannot do for Modelyard, and how to mend it.

Owns what is looked at and the words of a finding. Changes nothing, and asks what others decide (probe, capacity)
rather than decide it again.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelyard.app.controllers import capacity
from modelyard.app.launch import server_url
from modelyard.app.layout import Layout
from modelyard.app.plugins import broken_plugins
from modelyard.app.settings import GB, Settings
from modelyard.app.supervisor import COMMAND
from modelyard.base.disk import is_locked
from modelyard.runners.process import probe
from modelyard.runners.process.probe import SandboxReport
from modelyard.runners.process.rules import way_to

_EXTRAS = {"torch": "torch", "xgboost": "xgboost-cpu"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``mend`` says what to do about it, where there is something."""

    what: str
    state: Literal["ok", "warning", "problem"]
    message: str
    mend: str = ""


def examine(given: dict[str, Any], probe: Callable[[tuple[str, ...]], SandboxReport] = probe.probe) -> list[Finding]:
    """Look at everything; changes nothing. ``probe`` finds out what sandbox there is."""
    settings = Settings(**given)
    report = probe(COMMAND)
    return [
        _system(),
        _sandbox(settings, report),
        _network(settings, report),
        *_extras(),
        *(Finding(f"plug-in {error.fields['name']}", "problem", error.message) for error in broken_plugins()),
        _disk(settings),
        _connections(settings),
        _machine(settings),
        _data_directory(settings),
    ]


def _system() -> Finding:
    text = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    if platform.system() != "Linux":
        return Finding("system", "problem", text, "Modelyard runs jobs on Linux; use a Linux machine, VM or WSL 2.")
    return Finding("system", "ok", text)


_REFUSED = (
    "Refused are endpoints, whose models may be anybody's, and jobs with EnableNetworkIsolation; of requirements.txt "
    "only wheels are installed"
)
_OPEN = "run with all rights of the user who runs the server"
_ALLOW = "Or set allow_unsandboxed (MODELYARD_ALLOW_UNSANDBOXED=true), if you trust every model and job."


def _sandbox(settings: Settings, report: SandboxReport) -> Finding:
    why = "; ".join(report.reasons)
    if report.tier == "bubblewrap":
        return Finding("sandbox", "ok", f"tier bubblewrap: {why}")
    held = "are held to their own files" if report.tier == "landlock" else _OPEN
    if settings.allow_unsandboxed:
        text = f"tier {report.tier}: {why}. allow_unsandboxed is set: models and jobs run all the same, and {held}"
        return Finding("sandbox", "warning", text, report.mend)
    text = f"tier {report.tier}: {why}. {_REFUSED}. Other jobs run, and {held}"
    return Finding("sandbox", "problem", text, f"{report.mend} {_ALLOW}".strip())


def _network(settings: Settings, report: SandboxReport) -> Finding:
    url = server_url(settings)
    if report.pasta and way_to(url) is not None:
        text = "each job has a network of its own: out of this machine and to this server, and nobody in"
        return Finding("network", "ok", f"{text} ({report.pasta})")
    why, mend = report.no_network, report.network_mend
    if report.tier != "bubblewrap":
        why, mend = "there is no sandbox", "See sandbox."
    elif report.pasta:
        why, mend = f"a network of its own cannot reach {url}", "Listen on 127.0.0.1 or on an address beside loopback."
    shared = (
        f"jobs share this machine's network, because {why}: services on its loopback are in their reach, and two jobs "
        "of several instances at once collide on their ports (7777)"
    )
    return Finding("network", "warning", f"{shared}", mend)


def _extras() -> Iterator[Finding]:
    for extra, distribution in _EXTRAS.items():
        try:
            yield Finding(f"extra {extra}", "ok", f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            mend = f"pip install 'modelyard[{extra}]' (in a checkout: pip install '.[{extra}]')"
            yield Finding(f"extra {extra}", "warning", f"{distribution} is not installed; its images are refused", mend)


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / GB:.1f} GB free below {folder}; {settings.disk_reserve / GB:.1f} GB are kept free"
    if free < settings.disk_reserve:
        return Finding("disk", "problem", text, "Free some space, or lower the setting disk_reserve.")
    return Finding("disk", "ok" if free > 5 * settings.disk_reserve else "warning", text)


def _connections(settings: Settings) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    able = settings.max_connections if hard == resource.RLIM_INFINITY else min(settings.max_connections, hard // 2)
    text = f"{able} connections at once (file limit {hard})"
    if able < settings.max_connections:
        return Finding("limits", "warning", text, f"ulimit -n {settings.max_connections * 2} before you start it.")
    return Finding("limits", "ok", text)


def _machine(settings: Settings) -> Finding:
    room = capacity(settings.job_cpus, settings.job_memory)
    return Finding("capacity", "ok", f"jobs share {room.cpus:g} processors and {room.memory / GB:.1f} GB of memory")


def _data_directory(settings: Settings) -> Finding:
    folder: Path = settings.data_dir
    if not folder.exists():
        return Finding("data", "ok", f"{folder} is made at first start")
    if not os.access(folder, os.W_OK):
        return Finding("data", "problem", f"{folder} is not writable", "chown it, or name another with --data-dir.")
    running = "a server runs on it" if is_locked(Layout(folder).server_lock) else "no server runs on it"
    return Finding("data", "ok", f"{folder}: {running}")
