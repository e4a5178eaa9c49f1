"""What the worker is told (worker.json and /opt/ml/input/config) and where it works.

Owns reading them. The folders are /opt/ml and /run/modelyard/out, or where a runner without mount namespaces
says in MODELYARD_ML, MODELYARD_OUT and MODELYARD_WORKER. Credentials come on the descriptor that
MODELYARD_SECRETS_FD names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.core.jobs import documents

_PLACES = ("MODELYARD_ML", "MODELYARD_OUT", "MODELYARD_WORKER", "MODELYARD_SECRETS_FD")


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One host's part of an attempt. ``variables`` are the request's own Environment."""

    ml: Path
    out: Path
    image: str
    host: str
    hosts: tuple[str, ...]
    resources: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, str]]
    hyperparameters: Mapping[str, Any]
    variables: Mapping[str, str]
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()
    pipes: tuple[Mapping[str, Any], ...] = ()
    pack_model: bool = True
    checkpoints_path: str = "/opt/ml/checkpoints"
    cpus: float = 1.0
    memory: int = 2 << 30
    inherited: Mapping[str, str] = field(default_factory=dict)
    """The environment and credentials that the runner gave, without its own MODELYARD_ variables."""


def read(environ: Mapping[str, str]) -> WorkerSpec:
    """The spec of the process with this environment."""
    ml = Path(environ.get("MODELYARD_ML", "/opt/ml"))
    told = _json(Path(environ.get("MODELYARD_WORKER", "/run/modelyard/worker.json")))
    config = ml / "input" / "config"
    resources = _json(config / "resourceconfig.json")
    raw = _json(config / "hyperparameters.json")
    return WorkerSpec(
        ml=ml,
        out=Path(environ.get("MODELYARD_OUT", "/run/modelyard/out")),
        image=told["image"],
        host=resources["current_host"],
        hosts=tuple(resources["hosts"]),
        resources=resources,
        inputs=_json(config / "inputdataconfig.json"),
        hyperparameters={name: documents.decode(value) for name, value in raw.items()},
        variables=told["variables"],
        entrypoint=tuple(told["entrypoint"]),
        arguments=tuple(told["arguments"]),
        metrics=tuple((metric["name"], metric["pattern"]) for metric in told["metrics"]),
        pipes=tuple(told["pipes"]),
        pack_model=told["pack_model"],
        checkpoints_path=told["checkpoints_path"],
        cpus=told["cpus"],
        memory=told["memory"],
        inherited={name: value for name, value in environ.items() if name not in _PLACES} | _secrets(environ),
    )


def _secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The job's own credentials, which come by descriptor; it is closed for whoever comes later."""
    if "MODELYARD_SECRETS_FD" not in environ:
        return {}
    with os.fdopen(int(environ["MODELYARD_SECRETS_FD"]), "rb") as file:
        told: dict[str, str] = json.loads(file.read())
    return told


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def cpus_here(spec: WorkerSpec) -> int:
    """Processors the job may count on: its instance's, at most the machine's."""
    return max(1, min(int(spec.cpus) or 1, len(os.sched_getaffinity(0))))
