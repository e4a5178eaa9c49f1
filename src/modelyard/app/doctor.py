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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelyard.app.controllers import capacity
from modelyard.app.layout import Layout
from modelyard.app.settings import GB, Settings
from modelyard.app.supervisor import COMMAND
from modelyard.base.disk import is_locked
from modelyard.runners.process.probe import probe

_EXTRAS = {"torch": "torch", "xgboost": "xgboost-cpu"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``mend`` says what to do about it, where there is something."""

    what: str
    state: Literal["ok", "warning", "problem"]
    message: str
    mend: str = ""


def examine(given: dict[str, Any]) -> list[Finding]:
    """Look at everything; changes nothing."""
    settings = Settings(**given)
    return [
        _system(),
        _sandbox(settings),
        *_extras(),
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


def _sandbox(settings: Settings) -> Finding:
    report = probe(COMMAND)
    text = f"tier {report.tier}: {'; '.join(report.reasons)}"
    if report.tier != "none":
        return Finding("sandbox", "ok", text)
    if settings.allow_unsandboxed:
        return Finding(
            "sandbox", "warning", f"{text}; user code runs without one, as allow_unsandboxed says", report.mend
        )
    return Finding("sandbox", "problem", f"{text}; uploaded models are refused", report.mend)


def _extras() -> Iterator[Finding]:
    for extra, distribution in _EXTRAS.items():
        try:
            yield Finding(f"extra {extra}", "ok", f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            mend = f"pip install 'modelyard[{extra}]'"
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
