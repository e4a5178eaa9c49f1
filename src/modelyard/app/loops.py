"""The server's background work: threads that run one step again and again until they are told to end.

Owns pacing and survival: a step that raises is logged and tried again, later each time, for ever. Each step is
level-triggered, so a missed wake-up costs a pause and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


JOB_PAUSE, JOB_REST = 0.2, 0.01
"""Seconds between two passes over the jobs: when nothing is known to have changed, and at least. Jobs that come within
the rest share the flushes of the disk that each of their moves needs."""

LONGEST = 2.0
"""Seconds after which a step that goes on failing is tried again at the latest: a lease lasts three."""


class Loop:
    """Runs ``step`` every ``pause`` seconds, or after as many as it answers, and at once after ``wake``, but never
    sooner than ``rest`` seconds after the step before: what comes in meanwhile is done, and flushed, together."""

    def __init__(self, name: str, step: Callable[[], float | None], pause: float, rest: float = 0.0) -> None:
        self._name = name
        self._step = step
        self._pause = pause
        self._rest = rest
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self, timeout: float = 10) -> None:
        """End after the step under way; returns when the thread has ended or ``timeout`` is over. Harmless before the
        start."""
        self._ending.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        failures = 0
        while not self._ending.is_set():
            self._woken.clear()
            pause = self._pause
            try:
                pause = self._step() or pause
                failures = 0
            except Exception:  # noqa: BLE001 - the edge of this thread: one failing step must not end the loop
                failures += 1
                _log.exception("%s failed; trying again", self._name)
            if failures:  # whoever wakes it does not mend what failed
                self._ending.wait(min(pause * 2**failures, max(pause, LONGEST)))
            else:
                self._ending.wait(self._rest)
                self._woken.wait(pause)
