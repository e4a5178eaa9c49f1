"""ProcessRunner: job attempts as supervised processes of this machine (core.jobs.ports.Runner).

Owns the attempt's folder while it runs. Keeps nothing in memory: whatever a killed server left is seen in the
folder's files, so that the next one adopts it by looking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.disk import Disk, remove_tree
from modelyard.base.errors import Conflict
from modelyard.core.jobs.ports import Attempt, Observation
from modelyard.runners.process import cgroups, records
from modelyard.runners.process.launch import launch
from modelyard.runners.process.networks import NO_PORTS, Uplink
from modelyard.runners.process.rules import Rules, variables, way_to
from modelyard.runners.process.sandbox import ML, RUN, Bind, Box
from modelyard.runners.process.spec import Spec

_WEIGHT = 0.25
"""Of one processor of a job, where an ordinary process (the front) has 1."""
_FOLDERS = ("ml", "out", "tmp")


class ProcessRunner:
    """Thread-safe; any number of them may work on the same folders. The contract is core.jobs.ports.Runner's."""

    def __init__(self, rules: Rules, disk: Disk, clock: Clock) -> None:
        self._rules = rules
        self._disk = disk
        self._clock = clock

    def start(self, attempt: Attempt) -> None:
        """Launch the supervisor. Raises FileNotFoundError when the folder is gone, Unavailable when it cannot."""
        attempt = replace(attempt, folder=attempt.folder.absolute())
        if not attempt.folder.is_dir():
            raise FileNotFoundError(attempt.folder)
        for folder in ("log", *(f"{kind}/{host}" for kind in _FOLDERS for host in attempt.hosts)):
            (attempt.folder / folder).mkdir(parents=True, exist_ok=True)
        launch(self._rules.supervisor, self._spec(attempt))

    def observe(self, attempt_folder: Path) -> Observation:
        """What the folder's files say now."""
        state = records.read(attempt_folder)
        if state.state != "exited":
            return Observation(state.state, state.started)
        return _observation(state.exit)

    def seal(self, attempt_folder: Path) -> None:
        """Forbid the start of what has not started. Raises FileNotFoundError when the folder is gone."""
        if not (attempt_folder / records.STARTED).exists():
            records.make_started(self._disk, attempt_folder, self._clock.now(), seal=True)

    def stop(self, attempt_folder: Path, grace: float) -> None:
        """Seal what has not started, and ask what has. Raises FileNotFoundError when the folder is gone."""
        self.seal(attempt_folder)
        if records.read(attempt_folder).state == "running":
            records.ask_stop(self._disk, attempt_folder, grace, self._clock.now())

    def remove(self, attempt_folder: Path) -> None:
        """Free what an ended attempt holds but for its log and records. Raises Conflict while it runs."""
        if records.read(attempt_folder).state == "running":
            raise Conflict(what=f"the attempt in {attempt_folder} still runs; stop it first")
        for folder in _FOLDERS:
            remove_tree(attempt_folder / folder)
        for group in records.groups(attempt_folder):
            cgroups.remove_folder(group)

    def _spec(self, attempt: Attempt) -> Spec:
        rules = self._rules
        limits = rules.limits(attempt.memory, _WEIGHT * attempt.cpus, self._cpu_seconds(attempt))
        owned = [str(attempt.folder / kind / host) for kind in _FOLDERS for host in attempt.hosts]
        owned += [bind.source for bind in worker_spec(attempt.folder)]
        spec = Spec(
            id=attempt.id,
            folder=str(attempt.folder),
            boxes=tuple(self._box(attempt, host) for host in attempt.hosts),
            limits=limits,
            tier="none",
            owned=tuple(owned),
            secrets=dict(attempt.secrets),
            deadline=attempt.deadline,
            grace=attempt.grace,
            uplink=_uplink(attempt),
        )
        return rules.sandboxed(spec, fixed_paths=attempt.fixed_paths)

    def _cpu_seconds(self, attempt: Attempt) -> int | None:
        """What one process can burn until the deadline, all processors busy, and a minute."""
        if attempt.deadline is None:
            return None
        left = max(0.0, attempt.deadline + attempt.grace - self._clock.now())
        return math.ceil(left * max(1.0, attempt.cpus)) + 60

    def _box(self, attempt: Attempt, host: str) -> Box:
        folder = attempt.folder
        command = tuple(part.replace("{host}", host) for part in attempt.command)
        certificates = [Path(path) for name, path in attempt.secrets.items() if name == "AWS_CA_BUNDLE"]
        binds = [
            Bind(str(folder / "ml" / host), ML, "rw"),
            Bind(str(folder / "out" / host), f"{RUN}/out", "rw"),
            Bind(str(folder / "tmp" / host), "/tmp", "rw"),  # noqa: S108
        ]
        return Box(
            name=host,
            log=str(folder / "log" / f"{host}.log"),
            command=command,
            variables=variables(attempt.variables, command),
            binds=(*binds, *worker_spec(folder), *self._rules.readable([*attempt.readable, *certificates])),
            hidden=self._rules.covers(),
            hosts=attempt.hosts,
            private_network=not attempt.network,
            shared_memory=attempt.memory,
        )


def _uplink(attempt: Attempt) -> Uplink | None:
    """What the attempt's own network is to lead to: everything outside, and the server if it has credentials there."""
    if not attempt.network:
        return None
    server = attempt.secrets.get("AWS_ENDPOINT_URL")
    return NO_PORTS if server is None else way_to(server)


def worker_spec(folder: Path) -> list[Bind]:
    """The worker's own spec, where staging wrote one."""
    path = folder / "worker.json"
    return [Bind(str(path), f"{RUN}/worker.json")] if path.is_file() else []


def _observation(record: Mapping[str, Any]) -> Observation:
    return Observation(
        "exited",
        started=record["started"],
        ended=record["ended"],
        exit_code=record["code"],
        reason=record["reason"],
        message=record["message"],
        dropped_lines=record["dropped_lines"],
        host=record.get("host"),
    )
