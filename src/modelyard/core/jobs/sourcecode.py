"""The user's code: the archive that sagemaker_submit_directory names, unpacked as /opt/ml/code.

Follows what sagemaker-training does with it (https://github.com/aws/sagemaker-training-toolkit), except that
the server fetches and unpacks, so that a job without network has its code. Rewrites the hyperparameter or
variable to the local path. Code that comes as a channel (SDK v3, network isolation) stays where it lies.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from modelyard.base.errors import Invalid
from modelyard.core.artifacts import archives
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.jobs import documents, packing
from modelyard.core.jobs.model import JobSpec
from modelyard.core.jobs.ports import Inputs

ML = "/opt/ml"
CODE = f"{ML}/code"
_PARAMETER = "sagemaker_submit_directory"
_VARIABLE = "SAGEMAKER_SUBMIT_DIRECTORY"


class SourceCode:
    """The code of one attempt, fetched once for all of its hosts."""

    FETCHED: ClassVar[str] = "source.tar.gz"

    def __init__(self, inputs: Inputs, spec: JobSpec, folder: Path, limits: ArchiveLimits) -> None:
        self._inputs = inputs
        self._limits = limits
        self._spec = spec
        self._fetched = folder / self.FETCHED
        named = documents.decode(spec.hyperparameters.get(_PARAMETER, '""')) or spec.variables.get(_VARIABLE, "")
        self._named = str(named)
        archived = self._named.startswith("s3://") or self._named.endswith((".tar.gz", ".tgz", ".tar"))
        self.hyperparameters: Mapping[str, str] = spec.hyperparameters
        self.variables: Mapping[str, str] = spec.variables
        self._archived = archived
        if archived and _PARAMETER in spec.hyperparameters:
            self.hyperparameters = documents.replaced(spec.hyperparameters, _PARAMETER, CODE)
        if archived and _VARIABLE in spec.variables:
            self.variables = {**spec.variables, _VARIABLE: CODE}

    def place(self, root: Path) -> None:
        """Unpack the code below the host's folder ``root``, whose channels are there already."""
        if not self._archived:
            return
        target = root / "code"
        if self._named.startswith("s3://"):
            if not self._fetched.exists():
                self._inputs.fetch(self._named, self._fetched)
            self._unpack(self._fetched, target)
            return
        fd = packing.open_regular(root, self._below(self._named))
        if fd is None:
            raise Invalid(what=f"{_PARAMETER} {self._named!r} is not among the job's inputs")
        with os.fdopen(fd, "rb") as source:
            archives.extract(source, target, self._limits)

    def clean(self) -> None:
        """Drop the fetched archive."""
        self._fetched.unlink(missing_ok=True)

    def requirements(self, root: Path) -> Path | None:
        """The requirements file that the code comes with, in the folder of the first host."""
        below = "code" if not self._spec.entrypoint else "input/data/code"
        name = self._named_requirements(root) if self._spec.entrypoint else "requirements.txt"
        if not self._archived and self._named.startswith(f"{ML}/"):
            below = self._below(self._named)
        found = root / below / name
        return found if found.is_file() else None

    def _named_requirements(self, root: Path) -> str:
        """SDK v3 names its requirements file in the driver channel's sourcecode.json."""
        described = root / "input/data/sm_drivers/sourcecode.json"
        try:
            document: Any = json.loads(described.read_text()) if described.is_file() else {}
        except ValueError:
            document = {}
        name = document.get("requirements") if isinstance(document, dict) else None
        if not isinstance(name, str):
            return "requirements.txt"
        parts = PurePosixPath(name).parts
        return "requirements.txt" if ".." in parts or name.startswith("/") else name

    def _unpack(self, packed: Path, target: Path) -> None:
        if target.exists():
            shutil.rmtree(target)
        with packed.open("rb") as source:
            archives.extract(source, target, self._limits)

    def _below(self, path: str) -> str:
        parts = PurePosixPath(path).parts
        if ".." in parts or parts[:3] != ("/", "opt", "ml") or len(parts) < 4:
            raise Invalid(what=f"{_PARAMETER} {path!r} must be an s3:// location or lie below {ML}")
        return "/".join(parts[3:])
