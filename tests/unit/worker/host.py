"""One attempt staged into folders and its worker run for real, at the SM_* paths instead of /opt/ml."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.core.jobs.model import Channel, Job, JobSpec, JobState, MetricDefinition, Phase, Resources
from modelyard.core.jobs.packing import packed
from modelyard.core.jobs.ports import Collected
from modelyard.core.jobs.staging import FolderStaging
from modelyard.testing.inputs import FolderInputs

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def archive(files: Mapping[str, str]) -> bytes:
    """A sourcedir.tar.gz."""
    return packed({name: text.encode() for name, text in files.items()})


def unpacked(content: bytes) -> dict[str, bytes]:
    """The regular files of a tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]


def job(name: str = "iris-1", instances: int = 1, **spec: Any) -> Job:
    spec.setdefault("image", SKLEARN)
    spec.setdefault("output", "s3://out/results")
    resources = Resources("ml.m5.large", instances)
    return Job(
        "7f5e", name, "training", "sagemaker", "eu-west-1", JobSpec(resources=resources, **spec), {},
        JobState.STARTING, Phase.DOWNLOADING, 0.0, 0.0, attempt=1,
    )  # fmt: skip


@dataclass
class Host:
    """A place to train in: ``run`` a script and read what came of it."""

    root: Path

    def __post_init__(self) -> None:
        self.inputs = FolderInputs(self.root / "s3")
        self.staging = FolderStaging(self.inputs, account="123456789012")
        self.folder = self.root / "attempt"
        self.folder.mkdir(parents=True)

    def script(self, files: Mapping[str, str], program: str = "train.py", **spec: Any) -> Job:
        """A script-mode job as SDK v2 sends it."""
        source = self.inputs.put("s3://code/source/sourcedir.tar.gz", archive(files))
        hyperparameters = {
            "sagemaker_program": f'"{program}"',
            "sagemaker_submit_directory": f'"{source}"',
            **spec.pop("hyperparameters", {}),
        }
        return job(hyperparameters=hyperparameters, **spec)

    def start(self, what: Job, host: str = "algo-1") -> subprocess.Popen[str]:
        """Stage ``what`` unless it is, and start its worker."""
        if not (self.folder / "worker.json").exists():
            self.staged = self.staging.stage(what, self.folder)
        command = [word.replace("{python}", sys.executable) for word in self.staged.command]
        environ = {
            "PATH": os.environ["PATH"],
            **self.staged.variables,
            "MODELYARD_ML": str(self.ml(host)),
            "MODELYARD_OUT": str(self.folder / "out" / host),
            "MODELYARD_WORKER": str(self.folder / "worker.json"),
        }
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, what: Job) -> tuple[int, str, Collected]:
        """Stage, train on each host in turn, collect: the last exit code, all output, what was left."""
        output, code = "", 0
        for host in what.spec.resources.hosts:
            process = self.start(what, host)
            output += process.communicate(timeout=120)[0]
            code = process.returncode
        return code, output, self.staging.collect(what, self.folder)

    def ml(self, host: str = "algo-1") -> Path:
        return self.folder / "ml" / host


def channel(name: str, location: str, **how: Any) -> Channel:
    return Channel(name, location, **how)


def metric(name: str, pattern: str) -> MetricDefinition:
    return MetricDefinition(name, pattern)
