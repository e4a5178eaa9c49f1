"""Launching a supervisor: a process that belongs to nobody but itself.

Owns the hand-over: the spec in memory that is whole before the process starts, and waiting until it has claimed
its folder. A server killed in between leaves either nothing or a supervisor that carries on.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from modelyard.base.disk import write_all
from modelyard.base.errors import Unavailable
from modelyard.runners.process import records
from modelyard.runners.process.spec import Spec, encode

ERRORS = "supervisor.err"


def launch(command: Sequence[str], spec: Spec) -> None:
    """Start ``command`` (see app/supervisor.py) on ``spec``; returns when its folder is claimed, by it or another.

    Raises FileNotFoundError for a folder that is gone, Unavailable when the supervisor could not start.
    """
    folder = Path(spec.folder)
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    if (folder / records.STARTED).exists():
        return
    handed = os.memfd_create("spec", os.MFD_CLOEXEC)
    claimed, claim = os.pipe2(os.O_CLOEXEC)
    try:
        write_all(handed, encode(spec))
        os.lseek(handed, 0, os.SEEK_SET)
        with (folder / ERRORS).open("ab") as errors:
            subprocess.Popen(
                [*command, str(handed), str(claim)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd="/",
                env={},
                pass_fds=(handed, claim),
                start_new_session=True,
            ).wait()
        os.close(claim)
        claim = -1
        answered = os.read(claimed, 1)
    finally:
        for descriptor in (handed, claimed, claim):
            if descriptor >= 0:
                os.close(descriptor)
    if not answered and records.read(folder).state == "absent":
        said = (folder / ERRORS).read_text(errors="replace").strip()[-1000:]
        raise Unavailable(what=f"the supervisor of {spec.id} did not start: {said}")
