"""A training job's part on one host, from the first log line to what is handed back.

Owns the order of things; each step is a module of this folder. Runs inside the sandbox with the job's own
libraries and uses the standard library only. Leaves in ``out``: metrics.jsonl, usage.jsonl, model.tar.gz and
output.tar.gz, ``model`` (an empty file that says the model counts) and, last, ``finished``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from modelyard.base.clock import SystemClock
from modelyard.core.jobs import packing
from modelyard.worker import failure, versions
from modelyard.worker.entrypoint import CannotStart, Program, program
from modelyard.worker.metrics import Matcher
from modelyard.worker.pipes import Feeder
from modelyard.worker.process import Ended, Running
from modelyard.worker.spec import WorkerSpec, read
from modelyard.worker.usage import Usage

MATCH_PATIENCE = 10.0
"""Seconds that metric matching may take after the script's last line."""
CANNOT_START = 1
CANNOT_PACK = 1


def train() -> int:
    """Run this host's part; the exit code is the program's own (128 + the signal that ended it)."""
    spec = read(os.environ)
    say(versions.first_line(spec.image, sys.path))
    matcher = Matcher(spec.metrics, spec.out / "metrics.jsonl") if spec.metrics else None
    try:
        what = program(spec)
        _prepare(spec)
        usage = Usage(spec.out / "usage.jsonl", spec.memory, spec.ml, SystemClock())
        ended = Running(what, matcher, usage).finish()
        usage.finish()
    except CannotStart as error:
        say(str(error))
        failure.report(spec.ml, str(error))
        return CANNOT_START
    if matcher is not None and not (matcher.finish(MATCH_PATIENCE) and matcher.dropped == 0):
        say(f"matching metrics could not keep up: {matcher.dropped} lines or more were not searched")
    _report(spec, what, ended)
    try:
        _hand_back(spec, keeps_model=ended.code == 0 or ended.stopped)
    except OSError as error:
        say(f"modelyard: the results could not be packed: {error}")
        failure.report(spec.ml, f"The results could not be packed: {error}")
        return ended.exit_code or CANNOT_PACK
    return ended.exit_code


def say(text: str) -> None:
    """One line of our own in the job's log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _prepare(spec: WorkerSpec) -> None:
    for pipe in spec.pipes:
        try:
            Feeder(spec.ml, pipe, spec.hosts.index(spec.host), len(spec.hosts)).start()
        except OSError as error:
            raise CannotStart(f"The pipe of channel {pipe['channel']!r} cannot be made: {error}") from error
    wanted = Path(spec.checkpoints_path)
    if wanted.is_relative_to("/tmp") and not wanted.exists():  # noqa: S108
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.symlink_to(spec.ml / "checkpoints")


def _report(spec: WorkerSpec, what: Program, ended: Ended) -> None:
    if ended.code != 0 and what.scripted and not ended.stopped:
        failure.report(spec.ml, failure.of_script(ended.code, what.command, ended.tail))


def _hand_back(spec: WorkerSpec, *, keeps_model: bool) -> None:
    data = spec.ml / "output" / "data"
    if not packing.is_empty(data):
        packing.pack([data], spec.out / "output.tar.gz")
    if keeps_model:
        if spec.pack_model:
            packing.pack([spec.ml / "model"], spec.out / "model.tar.gz")
        (spec.out / "model").touch()
    (spec.out / "finished").touch()
