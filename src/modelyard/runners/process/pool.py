"""ProcessPool: endpoint workers as supervised processes without a network (core.deployments.ports.WorkerPool).

Owns the worker's folder. Keeps nothing in memory; a worker outlives the server and ends by itself when none
comes back.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modelyard.base.clock import Clock
from modelyard.base.disk import Disk, remove_tree
from modelyard.base.errors import Conflict, Unavailable
from modelyard.core.deployments.ports import WorkerObservation, WorkerSpec
from modelyard.core.jobs import logs
from modelyard.runners.process import cgroups, records
from modelyard.runners.process.launch import launch
from modelyard.runners.process.rules import Rules, variables
from modelyard.runners.process.runner import worker_spec
from modelyard.runners.process.sandbox import ML, RUN, Bind, Box
from modelyard.runners.process.spec import Spec

_WEIGHT = 1.0
_QUOTED_LINES = 10
_QUOTED = 4096
_SEARCHED_LINES = 500
_UNCAUGHT = 1
"""The exit code of a worker that could not load its model."""
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'  File ".+", line \d+')
_GRACE_WITHOUT_SERVER = 30.0


class ProcessPool:
    """Thread-safe; any number of them may work on the same folders. The contract is the port's."""

    def __init__(self, rules: Rules, disk: Disk, clock: Clock) -> None:
        self._rules = rules
        self._disk = disk
        self._clock = clock

    def start(self, worker: WorkerSpec) -> None:
        """Launch the supervisor. Raises FileNotFoundError when the folder is gone, Unavailable when no sandbox
        can be made and no setting allows to go without."""
        worker = replace(worker, folder=worker.folder.absolute(), socket=worker.socket.absolute())
        if not worker.folder.is_dir():
            raise FileNotFoundError(worker.folder)
        report = self._rules.report()
        if report.tier != "bubblewrap" and not self._rules.allow_unsandboxed:
            raise Unavailable(what=report.refuses("A model, which may be anybody's,"))
        for folder in ("ml", "out"):
            (worker.folder / folder).mkdir(exist_ok=True)
        launch(self._rules.supervisor, self._spec(worker))

    def observe(self, folder: Path) -> WorkerObservation:
        """What the folder's files say now."""
        state = records.read(folder)
        if state.state == "absent":
            return WorkerObservation("absent")
        if state.state == "running":
            return WorkerObservation("ready" if _is_file(folder / "out" / "ready") else "starting")
        code = state.exit["code"] if state.state == "exited" else None
        said = raised(folder / "log") if code == _UNCAUGHT else ""
        said = said or last_lines(folder / "log")
        why = state.exit["message"] or state.exit["reason"] if state.state == "exited" else "its supervisor was killed"
        return WorkerObservation("dead", f"{why}: {said}" if said else why)

    def stop(self, folder: Path, grace: float) -> None:
        """Seal what has not started, and ask what has. Raises FileNotFoundError when the folder is gone."""
        if not (folder / records.STARTED).exists():
            records.make_started(self._disk, folder, self._clock.now(), seal=True)
        if records.read(folder).state == "running":
            records.ask_stop(self._disk, folder, grace, self._clock.now())

    def remove(self, folder: Path) -> None:
        """Delete the folder of a worker that is not running. Raises Conflict while it is."""
        if records.read(folder).state == "running":
            raise Conflict(what=f"the worker in {folder} still runs; stop it first")
        for group in records.groups(folder):
            cgroups.remove_folder(group)
        remove_tree(folder)

    def _spec(self, worker: WorkerSpec) -> Spec:
        rules = self._rules
        folder = worker.folder
        box = Box(
            name="worker",
            log=str(folder / "log"),
            command=worker.command,
            variables=variables(worker.variables, worker.command),
            binds=(
                Bind(str(folder / "ml"), ML),
                Bind(str(folder / "out"), f"{RUN}/out", "rw"),
                *worker_spec(folder),
                *rules.readable(worker.readable),
            ),
            hidden=rules.covers(),
            shared_memory=worker.memory // 2,
        )
        spec = Spec(
            id=worker.id,
            folder=str(folder),
            boxes=(box,),
            limits=rules.limits(worker.memory, _WEIGHT * worker.cpus, background=False),
            tier="none",
            owned=(str(folder / "ml"), str(folder / "out"), *(bind.source for bind in worker_spec(folder))),
            socket=str(worker.socket),
            grace=_GRACE_WITHOUT_SERVER,
            server_lock=str(rules.server_lock.absolute()),
            patience=rules.patience,
        )
        return rules.sandboxed(spec)


def _is_file(path: Path) -> bool:
    """Whether it is a regular file, not a link that the worker planted."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def raised(log: Path) -> str:
    """The exception that ended a worker, and after it the innermost place in the user's own files; empty where the log
    does not end with a traceback."""
    lines = [line.text for line in logs.read_page(log, logs.Window(limit=_SEARCHED_LINES, backward=True)).lines]
    began = max((number for number, line in enumerate(lines) if line == _TRACEBACK), default=len(lines))
    frames = [number for number in range(began, len(lines)) if _FRAME.match(lines[number])]
    if not frames:
        return ""
    after = next((number for number in range(frames[-1], len(lines)) if not lines[number].startswith(" ")), len(lines))
    own = [number for number in frames if lines[number].startswith(f'  File "{ML}/')]
    return f"{_joined(lines[after:])} ({lines[(own or frames)[-1]].strip()})"


def last_lines(log: Path) -> str:
    """The text of a log's last lines, for a message."""
    lines = logs.read_page(log, logs.Window(limit=_QUOTED_LINES, backward=True)).lines
    return _joined([line.text for line in lines])


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines)[-_QUOTED:].strip()
