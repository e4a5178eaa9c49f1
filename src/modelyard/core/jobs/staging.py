"""Fills an attempt's folder with what its container contract promises, and reads out what it left.

Implements the port Staging over the Inputs port: config documents, channels, code and checkpoints in, model,
output and checkpoints out (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html).
Refuses to know where artifacts are kept and how a sandbox is made; runs in the server, outside transactions.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.base.errors import Invalid
from modelyard.core.artifacts.archives import ArchiveLimits
from modelyard.core.jobs import documents, points, results
from modelyard.core.jobs.filling import ChannelFiller
from modelyard.core.jobs.model import Job
from modelyard.core.jobs.ports import Collected, Inputs, StagedJob
from modelyard.core.jobs.sourcecode import SourceCode

COMMAND = ("{python}", "-I", "-m", "modelyard.app.worker")
WORKER_SPEC = "worker.json"
"""Of the attempt's folder; the sandbox shows it as /run/modelyard/worker.json."""
_FOLDERS = ("input/config", "input/data", "model", "output/data", "code", "checkpoints")


class FolderStaging:
    """Staging into folders of this machine.

    ``account`` is the one in ARNs; ``limits`` bound what code archives and gzipped inputs unpack to.
    """

    def __init__(self, inputs: Inputs, *, account: str = "000000000000", limits: ArchiveLimits | None = None) -> None:
        self._inputs = inputs
        self._account = account
        self._limits = limits or ArchiveLimits()

    def stage(self, job: Job, attempt_folder: Path) -> StagedJob:
        """Wipe what an earlier try left and write everything anew. Raises a ModelyardError for the user."""
        names = job.spec.resources.hosts
        checkpoints = checkpoint_folder(job.spec.checkpoints_path)
        _wipe(attempt_folder)
        code = SourceCode(self._inputs, job.spec, attempt_folder, self._limits)
        channels = ChannelFiller(self._inputs, self._limits)
        pipes: list[dict[str, Any]] = []
        for number, host in enumerate(names):
            root = attempt_folder / "ml" / host
            for below in (*_FOLDERS, checkpoints):
                (root / below).mkdir(parents=True, exist_ok=True)
            (attempt_folder / "out" / host).mkdir(parents=True, exist_ok=True)
            self._documents(job, names, host, root, code.hyperparameters)
            pipes = [pipe for c in job.spec.channels if (pipe := channels.fill(c, root, number, len(names)))]
            self._restore(job, root / checkpoints)
            code.place(root)
        code.clean()
        spec = self._spec(job, code.variables, pipes)
        (attempt_folder / WORKER_SPEC).write_text(json.dumps(spec, indent=1))
        (attempt_folder / WORKER_SPEC).chmod(0o644)
        return StagedJob(COMMAND, self._variables(job), code.requirements(attempt_folder / "ml" / names[0]))

    def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
        """Store what the hosts left; see the port. The model is stored when every worker handed one back, or
        when none could (killed on a stop): then as its folder is. What a failed attempt wrote to its model folder is no
        model: as with the service, ``output.tar.gz`` and checkpoints are all that a failed job leaves in its bucket."""
        names = job.spec.resources.hosts
        output = f"{job.spec.output.rstrip('/')}/{job.name}/output"
        self.sync_checkpoints(job, attempt_folder)
        points.keep_usage(attempt_folder, names)
        artifact = None
        if job.spec.output:
            results.store_archive(
                self._inputs,
                attempt_folder,
                names,
                "output.tar.gz",
                "output/data",
                f"{output}/output.tar.gz",
                keep_empty=False,
            )
            artifact = None if failed else self._store_model(job, attempt_folder, output)
        return Collected(artifact, results.failure_text(attempt_folder, names), points.read(attempt_folder, names))

    def sync_checkpoints(self, job: Job, attempt_folder: Path) -> int:
        """Store checkpoint files that are new or changed since the last call; how many. Not for two at once."""
        if job.spec.checkpoints is None:
            return 0
        below = checkpoint_folder(job.spec.checkpoints_path)
        record = attempt_folder / "checkpoints.json"
        known: dict[str, list[int]] = json.loads(record.read_text()) if record.exists() else {}
        stored = 0
        for host in job.spec.resources.hosts:
            seen: dict[str, list[int]] = {}

            def changed(name: str, status: os.stat_result, host: str = host, seen: dict[str, list[int]] = seen) -> bool:
                seen[f"{host}/{name}"] = mark = [status.st_size, status.st_mtime_ns]
                return known.get(f"{host}/{name}") != mark

            stored += results.store_folder(
                self._inputs, attempt_folder / "ml" / host / below, job.spec.checkpoints, changed
            )
            known.update(seen)
        temporary = record.with_name(f".{record.name}.{os.urandom(6).hex()}")
        temporary.write_text(json.dumps(known))
        temporary.replace(record)
        return stored

    def _store_model(self, job: Job, folder: Path, output: str) -> str | None:
        names = job.spec.resources.hosts
        finished = [name for name in names if (folder / "out" / name / "finished").exists()]
        packed = [name for name in names if (folder / "out" / name / "model").exists()]
        if len(packed) < len(names) and finished:
            return None
        if not job.spec.output_compressed:
            for name in names:
                root = folder / "ml" / name / "model"
                results.store_folder(self._inputs, root, f"{output}/model", lambda _name, _status: True)
            return f"{output}/model/"
        location = f"{output}/model.tar.gz"
        keep_empty = bool(packed)
        stored = results.store_archive(
            self._inputs, folder, names, "model.tar.gz", "model", location, keep_empty=keep_empty
        )
        return location if stored else None

    def _documents(
        self, job: Job, names: tuple[str, ...], host: str, root: Path, hyperparameters: Mapping[str, str]
    ) -> None:
        config = root / "input" / "config"
        for name, document in (
            ("hyperparameters", dict(hyperparameters)),
            ("inputdataconfig", documents.input_data_config(job.spec.channels)),
            ("resourceconfig", documents.resource_config(job.spec, names, host)),
        ):
            (config / f"{name}.json").write_text(json.dumps(document))

    def _restore(self, job: Job, target: Path) -> None:
        if job.spec.checkpoints is not None:
            ChannelFiller(self._inputs, self._limits).restore(job.spec.checkpoints, target)

    def _variables(self, job: Job) -> dict[str, str]:
        return {
            "TRAINING_JOB_NAME": job.name,
            "TRAINING_JOB_ARN": f"arn:aws:sagemaker:{job.region}:{self._account}:training-job/{job.name}",
            "AWS_REGION": job.region,
            "AWS_DEFAULT_REGION": job.region,
        }

    def _spec(self, job: Job, variables: Mapping[str, str], pipes: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "image": job.spec.image,
            "variables": dict(variables),
            "entrypoint": list(job.spec.entrypoint),
            "arguments": list(job.spec.arguments),
            "metrics": [{"name": metric.name, "pattern": metric.pattern} for metric in job.spec.metrics],
            "pipes": pipes,
            "pack_model": job.spec.output_compressed,
            "checkpoints_path": job.spec.checkpoints_path,
            "cpus": job.spec.resources.cpus,
            "memory": job.spec.resources.memory,
        }


def checkpoint_folder(path: str) -> str:
    """The folder below ``ml/<host>`` that a job sees as ``path``: its own place below /opt/ml, else the usual
    one, to which the worker links from /tmp. Raises Invalid for any other place."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts or not path.startswith("/"):
        raise Invalid(what=f"checkpoint path {path!r} must be an absolute path without '..'")
    if parts[:2] == ["opt", "ml"] and len(parts) > 2:
        return "/".join(parts[2:])
    if parts[:1] == ["tmp"] and len(parts) > 1:
        return "checkpoints"
    raise Invalid(what=f"checkpoint path {path!r} must lie below /opt/ml or /tmp")


def _wipe(folder: Path) -> None:
    for name in ("ml", "out"):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    for name in (WORKER_SPEC, "checkpoints.json", SourceCode.FETCHED):
        (folder / name).unlink(missing_ok=True)
