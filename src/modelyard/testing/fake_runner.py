"""A runner without processes: attempts live and die by script and by an injected clock.

Keeps the contract of ``core.jobs.ports.Runner`` and, beside it, the book that laws are checked against: which user
code began when, and whether two attempts of one job were ever alive at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelyard.base.clock import Clock
from modelyard.core.jobs.ports import Attempt, Observation

Reason = Literal["exited", "stopped", "deadline", "memory", "refused"]


@dataclass(frozen=True, slots=True)
class Script:
    """What one attempt does. Seconds; ``stops_in`` is how long it goes on after it was told to stop (at most
    the grace). ``lost``: its supervisor dies at the end, without a record."""

    runs_for: float = 1.0
    exit_code: int = 0
    reason: Reason = "exited"
    stops_in: float = 0.5
    lost: bool = False
    message: str = ""


@dataclass(slots=True)
class Life:
    """One attempt's. ``attempt`` None: sealed before it began."""

    attempt: Attempt | None
    began: float
    ends: float
    exit_code: int | None
    reason: Reason
    lost: bool = False
    message: str = ""


@dataclass(slots=True)
class FakeRunner:
    """Thread-safe. ``script`` says what each attempt will do. ``begun`` counts starts of user code by attempt id,
    ``doubles`` names what broke the law of one live attempt a job.

    >>> from modelyard.base.clock import SteppedClock
    >>> clock = SteppedClock(100.0)
    >>> runner = FakeRunner(clock, lambda attempt: Script(runs_for=5, exit_code=3))
    >>> runner.start(Attempt("a", "job", 1, Path("/tmp"), ("algo-1",), (), {}))
    >>> runner.observe(Path("/tmp")).state
    'running'
    >>> clock.step(5)
    >>> runner.observe(Path("/tmp")).exit_code
    3
    """

    clock: Clock
    script: Callable[[Attempt], Script] = lambda attempt: Script()
    begun: dict[str, int] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    lives: dict[Path, Life] = field(default_factory=dict)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def start(self, attempt: Attempt) -> None:
        with self._turn:
            if not attempt.folder.exists():
                raise FileNotFoundError(attempt.folder)
            if attempt.folder in self.lives:
                return
            script, now = self.script(attempt), self.clock.now()
            self.doubles += [f"{one} beside {attempt.id}" for one in self.alive(attempt.job_id)]
            life = Life(attempt, now, now + script.runs_for, script.exit_code, script.reason)
            life.lost, life.message = script.lost, script.message
            if attempt.deadline is not None and attempt.deadline < life.ends and not script.lost:
                life.ends, life.reason, life.exit_code = attempt.deadline, "deadline", 143
            if script.reason != "refused":
                self.begun[attempt.id] = self.begun.get(attempt.id, 0) + 1
            self.lives[attempt.folder] = life

    def observe(self, attempt_folder: Path) -> Observation:
        with self._turn:
            life, now = self.lives.get(attempt_folder), self.clock.now()
            if life is None:
                return Observation("absent")
            started = None if life.attempt is None or life.reason == "refused" else life.began
            if now < life.ends:
                return Observation("running", started)
            if life.lost:
                return Observation("lost", started)
            return Observation("exited", started, life.ends, life.exit_code, life.reason, life.message)

    def seal(self, attempt_folder: Path) -> None:
        with self._turn:
            if not attempt_folder.exists():
                raise FileNotFoundError(attempt_folder)
            now = self.clock.now()
            self.lives.setdefault(attempt_folder, Life(None, now, now, None, "stopped"))

    def stop(self, attempt_folder: Path, grace: float) -> None:
        with self._turn:
            self.seal(attempt_folder)
            life, now = self.lives[attempt_folder], self.clock.now()
            if life.attempt is None or now >= life.ends:
                return
            ends = now + min(grace, self.script(life.attempt).stops_in)
            if ends < life.ends:
                life.ends, life.reason, life.exit_code, life.lost = ends, "stopped", 143, False

    def remove(self, attempt_folder: Path) -> None:
        with self._turn:
            self.removed.append(attempt_folder)

    def kill_supervisor(self, attempt_folder: Path) -> None:
        """The supervisor dies now, and with it what it ran."""
        with self._turn:
            life = self.lives[attempt_folder]
            if self.clock.now() < life.ends:
                life.ends, life.lost = self.clock.now(), True

    def alive(self, job_id: str) -> tuple[str, ...]:
        """The ids of the job's attempts that run now."""
        with self._turn:
            lives = [life for life in self.lives.values() if self.clock.now() < life.ends]
            return tuple(life.attempt.id for life in lives if life.attempt and life.attempt.job_id == job_id)
