"""MetricDefinitions matched on the lines of a job's output, in a process of their own.

A user's regular expression may take for ever and holds the interpreter while it does, so the lines go to a
forked child: each search has a time limit, and what the child cannot keep up with is dropped and counted,
never waited for. Values go to metrics.jsonl as ``{"name", "value", "at"}``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

SEARCH_LIMIT = 1.0
"""Seconds that one search of one line may take."""
STRIKES = 3
"""Searches over the limit after which a definition is dropped."""
BACKLOG = 16 << 20
"""Bytes of lines that wait for the child; later ones are dropped."""
LINE_LIMIT = 64 << 10
"""Bytes of a line that are searched."""


class TooSlow(Exception):
    """A search took longer than its limit."""


class Matcher:
    """The child's end seen from the worker. ``feed`` never blocks."""

    def __init__(self, definitions: Sequence[tuple[str, str]], target: Path) -> None:
        self.dropped = 0
        self._waiting = bytearray()
        self._line = bytearray()
        theirs, self._fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._fd)
            _run_child(theirs, definitions, target)
        os.close(theirs)
        os.set_blocking(self._fd, False)

    def feed(self, output: bytes) -> None:
        """Take output as it came; whole lines go to the child."""
        *lines, rest = output.split(b"\n")
        for line in lines:
            self._whole(bytes(self._line) + line)
            self._line.clear()
        if len(self._line) < LINE_LIMIT:
            self._line += rest[:LINE_LIMIT]
        self.pump()

    def pump(self) -> None:
        """Hand on what the child takes now."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting[:65536])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._waiting.clear()

    def finish(self, patience: float) -> bool:
        """Wait at most ``patience`` seconds for the child to match what it got; whether it did."""
        if self._line:
            self._whole(bytes(self._line))
        until = time.monotonic() + patience
        while self._waiting and time.monotonic() < until:
            self.pump()
            time.sleep(0.005)
        whole = not self._waiting
        os.close(self._fd)
        while time.monotonic() < until:
            if os.waitpid(self._pid, os.WNOHANG)[0]:
                return whole
            time.sleep(0.005)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        return False

    def _whole(self, line: bytes) -> None:
        if len(self._waiting) > BACKLOG:
            self.dropped += 1
            return
        self._waiting += b"%.3f\t%s\n" % (time.time(), line[:LINE_LIMIT])


def _run_child(source: int, definitions: Sequence[tuple[str, str]], target: Path) -> None:
    """The child's whole life; never returns."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, _late)
        with os.fdopen(source, "rb") as lines, target.open("a", encoding="utf-8") as sink:
            search = Search(definitions)
            for raw in lines:
                at, _, line = raw.rstrip(b"\r\n").partition(b"\t")
                for name, value in search.values(line.decode("utf-8", "replace")):
                    sink.write(json.dumps({"name": name, "value": value, "at": float(at)}) + "\n")
                    sink.flush()
        code = 0
    finally:
        os._exit(code)


def _late(_number: int, _frame: FrameType | None) -> None:
    raise TooSlow


class Search:
    """Definitions ready to be searched for; needs the main thread, for its alarm."""

    def __init__(self, definitions: Sequence[tuple[str, str]]) -> None:
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._strikes: dict[str, int] = {}
        for name, pattern in definitions:
            try:
                self._patterns[name] = re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                _say(f"metric {name!r}: the regular expression {pattern!r} cannot be used: {error}")

    def values(self, line: str) -> list[tuple[str, float]]:
        """The metrics of one line. The service's log showed a tab as ``#011``, and XGBoost's own definitions
        expect it so."""
        found: list[tuple[str, float]] = []
        for name, pattern in list(self._patterns.items()):
            signal.setitimer(signal.ITIMER_REAL, SEARCH_LIMIT)
            try:
                match = pattern.search(line) or ("\t" in line and pattern.search(line.replace("\t", "#011")))
            except TooSlow:
                self._strike(name)
                continue
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            value = _number(match) if match else None
            if value is not None:
                found.append((name, value))
        return found

    def _strike(self, name: str) -> None:
        self._strikes[name] = self._strikes.get(name, 0) + 1
        if self._strikes[name] >= STRIKES:
            del self._patterns[name]
            _say(f"metric {name!r}: its regular expression takes over {SEARCH_LIMIT:g} s a line; given up")


def _number(match: re.Match[str]) -> float | None:
    try:
        return float(match.group(1))
    except (IndexError, TypeError, ValueError):
        return None


def _say(text: str) -> None:
    sys.stdout.write(f"modelyard: {text}\n")
    sys.stdout.flush()
