"""The command that runs the user's code: script mode as sagemaker-training does it, or the request's own words.

Owns the rules of what a program's name may be and how each kind is started. A distribution that needs a
launcher which is not here is refused with a failure that says so.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.worker import variables
from modelyard.worker.spec import WorkerSpec

_SAFE_PROGRAM = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)*")
_LAUNCHERS = {
    "sagemaker_mpi_enabled": "MPI",
    "sagemaker_parameter_server_enabled": "a parameter server",
    "sagemaker_pytorch_ddp_enabled": "smddprun",
    "sagemaker_distributed_dataparallel_enabled": "smddprun",
    "sagemaker_pytorch_xla_multi_worker_enabled": "PyTorch XLA",
}


class CannotStart(Exception):
    """The user's code cannot be started; the text is for them."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: words, environment, folder. ``scripted``: its failures are reported as the toolkit does."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    scripted: bool


def program(spec: WorkerSpec) -> Program:
    """Raises CannotStart."""
    environment = variables.base(spec)
    if spec.entrypoint:
        words = (*spec.entrypoint, *spec.arguments)
        return Program(words, environment, _existing(spec.ml / "code", spec.ml), scripted=False)
    name = str(spec.variables.get("SAGEMAKER_PROGRAM") or spec.hyperparameters.get("sagemaker_program") or "")
    if not name:
        raise CannotStart(
            "No program to run: set the hyperparameter sagemaker_program to a script of the archive that "
            "sagemaker_submit_directory names, or AlgorithmSpecification.ContainerEntrypoint to a command. "
            f"The built-in algorithm of {spec.image} is not here; its script mode is."
        )
    folder = _module_folder(spec)
    environment |= variables.script(spec, name, str(folder))
    words = tuple(_script_command(spec, folder, name))
    return Program(words, environment, folder, scripted=True)


def _existing(folder: Path, other: Path) -> Path:
    return folder if folder.is_dir() else other


def _module_folder(spec: WorkerSpec) -> Path:
    named = str(
        spec.hyperparameters.get("sagemaker_submit_directory")
        or spec.variables.get("SAGEMAKER_SUBMIT_DIRECTORY")
        or "/opt/ml/code"
    )
    if named.startswith("/opt/ml/"):
        named = str(spec.ml / named.removeprefix("/opt/ml/"))
    if named.endswith((".tar.gz", ".tgz", ".tar")):
        return spec.ml / "code"
    if not Path(named).is_dir():
        raise CannotStart(f"sagemaker_submit_directory {named!r} is no folder of the job")
    return Path(named)


def _script_command(spec: WorkerSpec, folder: Path, name: str) -> list[str]:
    words = variables.arguments(variables.own_hyperparameters(spec))
    if not _SAFE_PROGRAM.fullmatch(name) or any(part in (".", "..") for part in name.split("/")):
        raise CannotStart(
            f"The program {name!r} must be a path inside the source directory of letters, digits and '._+-/', "
            "for example 'train.py' or 'bin/train.sh'."
        )
    for parameter, launcher in _LAUNCHERS.items():
        if spec.hyperparameters.get(parameter) is True:
            raise CannotStart(f"{parameter} asks for {launcher}, which this platform does not have.")
    path = folder / name
    if name.endswith(".py") and not path.is_file():
        raise CannotStart(f"{name} is not in the source directory, which holds: {_listing(folder)}")
    if spec.hyperparameters.get("sagemaker_torch_distributed_enabled") is True:
        return _torchrun(spec, name, words)
    packaged = (folder / "setup.py").is_file() and not name.endswith(".sh")
    if packaged or not (name.endswith(".py") or path.exists()):
        return [sys.executable, "-m", name.removesuffix(".py").replace("/", "."), *words]
    if name.endswith(".py"):
        return [sys.executable, name, *words]
    path.chmod(0o755)
    return ["/bin/sh", "-c", f"./{shlex.quote(name)} {shlex.join(words)}"]


def _torchrun(spec: WorkerSpec, name: str, words: list[str]) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(spec.hosts))]
    command += ["--nproc_per_node", "1", "--master_addr", spec.hosts[0], "--master_port", variables.MASTER_PORT]
    return [*command, "--node_rank", str(spec.hosts.index(spec.host)), name, *words]


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())[:20]
    return ", ".join(names) or "nothing"
