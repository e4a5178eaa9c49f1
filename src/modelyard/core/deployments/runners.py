"""What a runner is made from and what it gives: the value that its ``plugin.py`` publishes as ``RUNNER``.

A runner is where jobs and endpoints run: it implements the ports Runner and Environments of jobs and WorkerPool of
deployments. Owns what an installation tells it. Refuses to know which runners there are: they are found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.clock import Clock
from modelyard.base.disk import Disk
from modelyard.core.deployments.ports import WorkerPool
from modelyard.core.jobs.images import ImageFamily
from modelyard.core.jobs.ports import Environments, Runner


@dataclass(frozen=True, slots=True)
class Site:
    """One installation as its runner sees it. Sizes are bytes, times seconds.

    ``data_dir`` must be shown to no job; ``environments`` is the runner's own folder in it, ``server_lock`` held by a
    live server. ``supervisor`` is the command of a detached supervisor for runners on this machine.
    """

    data_dir: Path
    environments: Path
    server_lock: Path
    supervisor: tuple[str, ...]
    clock: Clock
    disk: Disk
    images: tuple[ImageFamily, ...]
    package_indexes: tuple[str, ...]
    processes: int
    file_bytes: int
    log_bytes: int
    patience: float
    """Seconds after which an endpoint worker ends when no server has held ``server_lock``."""
    allow_unsandboxed: bool
    """Whether models, and jobs that must not use the network, run where no sandbox can be made."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that jobs and endpoints run."""

    jobs: Runner
    endpoints: WorkerPool
    environments: Environments


@dataclass(frozen=True, slots=True)
class RunnerPlugin:
    """``open`` makes the place; it starts nothing, because commands beside a running server open it too."""

    open: Callable[[Site], Place]
