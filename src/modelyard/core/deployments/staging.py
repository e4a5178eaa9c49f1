"""What a worker needs on disk before it starts: the model, the user's code, an interpreter with its libraries.

Owns the folder ``<endpoint>/models/<generation>-<place>`` (``model/``, ``code/``), on disk whole or not at all
and shared by the variant's workers. Refuses to open what it unpacks. Conventions of SAGEMAKER_SUBMIT_DIRECTORY
and ``code/`` follow the published scikit-learn, PyTorch and XGBoost serving containers
(https://sagemaker.readthedocs.io/en/stable/frameworks/pytorch/using_pytorch.html#model-directory-structure).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelyard.base.disk import Disk, RealDisk
from modelyard.base.errors import Invalid
from modelyard.core.deployments.model import Plan, PlannedVariant
from modelyard.core.jobs.ports import Environments, Inputs

Unpack = Callable[[Path, Path], None]
"""(archive, target): unpack a tar or tar.gz as the folder ``target``; raises a ModelyardError."""

MODEL = "/opt/ml/model"
CODE = "/opt/ml/code"


@dataclass(frozen=True, slots=True)
class StagedVariant:
    """A variant ready to start. ``code`` and ``program`` are as the worker sees them; None without own hooks."""

    ml: Path
    interpreter: Path
    environment: str
    code: str | None
    program: str | None


class ModelStaging:
    """Thread-safe; may take minutes; runs outside any transaction; may run again after a crash."""

    def __init__(self, inputs: Inputs, environments: Environments, unpack: Unpack, disk: Disk | None = None) -> None:
        self._inputs = inputs
        self._environments = environments
        self._unpack = unpack
        self._disk = disk or RealDisk()

    def stage(self, folder: Path, plan: Plan) -> Mapping[str, StagedVariant]:
        """Every variant of ``plan`` by name, its files below the endpoint's ``folder``.

        Raises a ModelyardError whose message is the user's reason (OutOfSpace among them), OSError when the disk fails.
        """
        staged: dict[str, StagedVariant] = {}
        for place, variant in enumerate(plan.variants):
            environment = self._environments.resolve(variant.image)
            ml = folder / "models" / f"{plan.generation}-{place}"
            if not ml.exists():
                self._fill(ml, variant)
            staged[variant.name] = self._described(ml, variant, environment, folder / "build.log")
        return staged

    def _fill(self, ml: Path, variant: PlannedVariant) -> None:
        ml.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        made = ml.with_name(f".{ml.name}.{os.urandom(6).hex()}")
        made.mkdir(mode=0o755)
        try:
            self._fetch(variant.artifact, made / "model", made)
            submitted = variant.variables.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
            self._fetch(submitted if submitted.startswith("s3://") else None, made / "code", made)
            self._disk.sync_tree(made)
            self._disk.replace(made, ml)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        for named in (ml.parent, ml.parent.parent):
            self._disk.sync_folder(named)

    def _fetch(self, location: str | None, target: Path, scratch: Path) -> None:
        if location is None:
            target.mkdir(mode=0o755)
            return
        archive = scratch / ".archive"
        self._inputs.fetch(location, archive)
        try:
            self._unpack(archive, target)
        except Invalid as error:
            raise Invalid(what=f"{location}: {error.message}") from error
        archive.unlink()

    def _described(self, ml: Path, variant: PlannedVariant, environment: str, log: Path) -> StagedVariant:
        code = _code_folder(ml, variant.variables.get("SAGEMAKER_SUBMIT_DIRECTORY", ""))
        on_disk = _below(ml, code)
        program = variant.variables.get("SAGEMAKER_PROGRAM") or None
        if program is None and (on_disk / "inference.py").is_file():
            program = "inference.py"
        if program is not None and not (on_disk / program).is_file():
            raise Invalid(what=f"variant {variant.name!r}: SAGEMAKER_PROGRAM {program!r} is not in {code}")
        requirements = on_disk / "requirements.txt"
        interpreter = self._environments.prepare(environment, requirements if requirements.is_file() else None, log)
        return StagedVariant(ml, interpreter, environment, code if program else None, program)


def _code_folder(ml: Path, submitted: str) -> str:
    """Where the user's code lies for the worker. ``submitted``: s3:// (staged to code/) or a path in the image."""
    if submitted.startswith("s3://"):
        return CODE
    path = submitted.removeprefix("file://")
    if path and PurePosixPath(path).is_relative_to("/opt/ml") and _below(ml, path).is_dir():
        return path
    return f"{MODEL}/code" if (ml / "model" / "code").is_dir() else CODE


def _below(ml: Path, path: str) -> Path:
    """The host's place of a path that the worker sees below /opt/ml. Raises Invalid for one that leads out."""
    relative = PurePosixPath(path).relative_to("/opt/ml")
    if ".." in relative.parts:
        raise Invalid(what=f"SAGEMAKER_SUBMIT_DIRECTORY {path!r} leads out of /opt/ml")
    return ml / relative
