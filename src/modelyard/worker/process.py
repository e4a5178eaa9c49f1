"""Running the user's program: output passed on as it comes, signals forwarded, nothing of it left behind.

Owns the program's process group. Output goes on byte for byte and at once (a progress bar without line ends
shows too); the last part is kept for the failure file. Refuses to know what the program is.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from modelyard.base.disk import write_all
from modelyard.worker.entrypoint import CannotStart, Program
from modelyard.worker.failure import TAIL
from modelyard.worker.metrics import Matcher
from modelyard.worker.usage import Usage

_DRAIN = 0.5
"""Seconds in which output that is still in the pipe is taken after the program ended."""
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Ended:
    """``code`` as subprocess has it, a signal negative; ``stopped``: we were told to stop before."""

    code: int
    stopped: bool
    tail: str

    @property
    def exit_code(self) -> int:
        return self.code if self.code >= 0 else 128 - self.code


class Running:
    """One program from start to end, in the main thread."""

    def __init__(self, program: Program, matcher: Matcher | None, usage: Usage) -> None:
        self._matcher = matcher
        self._usage = usage
        self._tail = bytearray()
        self._stopped = False
        self._group = 0
        self._wake, waker = os.pipe()
        for fd in (self._wake, waker):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._process = self._start(program)
        self._group = self._process.pid
        if self._stopped:
            self._signal(signal.SIGTERM)

    def _start(self, program: Program) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                program.command,
                env=dict(program.environment),
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                process_group=0,
            )
        except (OSError, ValueError) as error:
            raise CannotStart(f"{program.command[0]!r} cannot be started: {error}") from error

    def finish(self) -> Ended:
        """Pass output on until the program has ended, then end what it left behind."""
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(source, select.POLLIN)
        waiting.register(self._wake, select.POLLIN)
        is_open, until = True, None
        while is_open or self._process.poll() is None:
            ready = {fd for fd, _event in waiting.poll(200)}
            self._drain_wakes()
            self._usage.look()
            if source in ready and not self._pass_on(source):
                waiting.unregister(source)
                is_open = False
            if self._matcher is not None:
                self._matcher.pump()
            if self._process.poll() is not None:
                self._signal(signal.SIGKILL)
                until = until or time.monotonic() + _DRAIN
                if time.monotonic() >= until:
                    break
        if self._tail and not self._tail.endswith(b"\n"):
            _write(b"\n")
        return Ended(self._process.wait(), self._stopped, self._tail.decode("utf-8", "replace"))

    def _pass_on(self, source: int) -> bool:
        output = os.read(source, _CHUNK)
        _write(output)
        if self._matcher is not None:
            self._matcher.feed(output)
        self._tail += output
        del self._tail[:-TAIL]
        return bool(output)

    def _drain_wakes(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self._group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)


def _write(output: bytes) -> None:
    write_all(sys.stdout.fileno(), output)
