"""A worker's folder and command: what the pool is handed to start one endpoint process.

Owns the folder's layout and worker.json (the process's own spec, read by modelyard.app.endpoint), and what
stays of a worker that is gone: its log. Refuses to know how processes are isolated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from modelyard.base.disk import Disk, write_durably
from modelyard.core.deployments.model import Endpoint, PlannedVariant, Worker, WorkerState
from modelyard.core.deployments.ports import WorkerSpec
from modelyard.core.deployments.staging import CODE, MODEL, StagedVariant

_UNSET = ("SAGEMAKER_SUBMIT_DIRECTORY", "SAGEMAKER_PROGRAM")


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one worker may use: processors and bytes of memory; the longest request in bytes."""

    cpus: float = 1.0
    memory: int = 4 << 30
    body: int = 25 << 20


class Launcher:
    """Thread-safe."""

    def __init__(self, disk: Disk, limits: WorkerLimits) -> None:
        self._disk = disk
        self._limits = limits

    def socket(self, place: Path) -> Path:
        """Where the worker in that folder is reached."""
        return place / "socket"

    def spec(
        self, endpoint: Endpoint, variant: PlannedVariant, worker: Worker, staged: StagedVariant, place: Path
    ) -> WorkerSpec:
        """Make the worker's folder (again, after a crash) and say what to start. Raises OSError."""
        place.mkdir(mode=0o755, exist_ok=True)
        (place / "out").mkdir(mode=0o755, exist_ok=True)
        if not (place / "ml").is_symlink():
            (place / "ml").symlink_to(staged.ml)
        document = {
            "endpoint": endpoint.name,
            "variant": variant.name,
            "worker": worker.id,
            "log_stream": stream_name(worker),
            "image": variant.image,
            "model": MODEL,
            "code": staged.code,
            "program": staged.program,
            "body_limit": self._limits.body,
        }
        write_durably(self._disk, place / "worker.json", json.dumps(document).encode(), mode=0o644)
        return WorkerSpec(
            id=worker.id,
            folder=place,
            command=(str(staged.interpreter), "-m", "modelyard.app.endpoint"),
            variables=_variables(variant, staged, self._limits.cpus),
            socket=self.socket(place),
            cpus=self._limits.cpus,
            memory=self._limits.memory,
            readable=(staged.interpreter.parent.parent,),
        )

    def keep_log(self, place: Path, logs: Path) -> None:
        """Move a worker's log to where it outlives the worker; harmless when there is none."""
        if not (place / "log").exists():
            return
        logs.mkdir(mode=0o755, exist_ok=True)
        (place / "log").replace(logs / place.name)

    def forget_log(self, worker_id: str, logs: Path) -> None:
        (logs / worker_id).unlink(missing_ok=True)


def log_file(folder: Path, worker: Worker) -> Path:
    """Where a worker's log is now, below the endpoints' folder."""
    own = folder / worker.endpoint_id
    return own / "logs" / worker.id if worker.state is WorkerState.GONE else own / worker.id / "log"


def stream_name(worker: Worker) -> str:
    """The worker's log stream, as the published containers' streams begin: with the variant's name."""
    return f"{worker.variant}/{worker.id}"


def _variables(variant: PlannedVariant, staged: StagedVariant, cpus: float) -> dict[str, str]:
    """The model's variables, with the code where it lies inside the sandbox, and threads as processors."""
    variables = {"OMP_NUM_THREADS": str(max(1, round(cpus))), "PYTHONDONTWRITEBYTECODE": "1"}
    variables |= {name: value for name, value in variant.variables.items() if name not in _UNSET}
    variables["SM_MODEL_DIR"] = MODEL
    variables["SAGEMAKER_SUBMIT_DIRECTORY"] = staged.code or CODE
    if staged.program is not None:
        variables["SAGEMAKER_PROGRAM"] = staged.program
    return variables
