"""The supervisor's process: detaches from whoever launched it, then supervises.

Run by path with ``python -I -S``, so that it starts in milliseconds: no site-packages, no environment.
Composition alone; what it does is runners/process/supervisor.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

COMMAND = (sys.executable, "-I", "-S", os.path.abspath(__file__))  # noqa: PTH100
"""What runners/process is given to launch; two descriptors follow: the spec, and where to say that it began."""


def main(handed: int, claim: int) -> None:
    """Fork into the background and run the spec that ``handed`` holds."""
    if os.fork():
        os._exit(0)
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
    from modelyard.base.clock import SystemClock  # noqa: PLC0415
    from modelyard.base.disk import RealDisk  # noqa: PLC0415
    from modelyard.runners.process import spec, supervisor  # noqa: PLC0415

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(handed, "rb") as file:
        told = spec.decode(file.read())
    os.set_inheritable(claim, False)
    supervisor.supervise(told, RealDisk(), SystemClock(), lambda: _say(claim))
    os._exit(0)


def _say(claim: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever launched us is dead; we carry on
        os.write(claim, b"1")
    os.close(claim)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
