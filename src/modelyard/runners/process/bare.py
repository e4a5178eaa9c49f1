"""Running without a sandbox, where the kernel gives no namespaces; the guard ends it all.

Owns telling the command where its files are, as no mount puts them at their published places. Nothing is isolated
but what Landlock holds, where it is asked to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from modelyard.runners.process import kernel
from modelyard.runners.process.sandbox import ML, RUN, Box


def become(box: Box, status: int, release: int, passed: tuple[int, ...], confine: Callable[[Box], None] | None) -> None:
    """Turn into the command, once released. Speaks as bubblewrap does: first who to watch, then that it began.

    ``confine`` restricts this process to what the box shows.
    """
    os.setsid()
    kernel.forbid_new_privileges()
    if confine is not None:
        confine(box)
    os.write(status, json.dumps({"child-pid": os.getppid()}).encode() + b"\n")
    os.read(release, 1)
    os.write(status, b'{"exit-code": 0}\n')
    for descriptor in passed:
        os.set_inheritable(descriptor, True)
    for bind in box.binds:
        if bind.target == ML:
            os.chdir(bind.source)
    os.execvpe(box.command[0], list(box.command), _variables(box))  # noqa: S606


def _variables(box: Box) -> dict[str, str]:
    """Where things lie that a sandbox would show at their usual places."""
    places = {bind.target: bind.source for bind in box.binds}
    found = {"MODELYARD_ML": places[ML], "MODELYARD_OUT": places[f"{RUN}/out"]}
    if f"{RUN}/worker.json" in places:
        worker = places[f"{RUN}/worker.json"]
        found |= {"MODELYARD_WORKER": worker, "MODELYARD_RUN": os.path.dirname(worker)}  # noqa: PTH120
    if "/tmp" in places:  # noqa: S108
        found |= {"TMPDIR": places["/tmp"], "HOME": places["/tmp"]}  # noqa: S108
    return {**box.variables, **found}
