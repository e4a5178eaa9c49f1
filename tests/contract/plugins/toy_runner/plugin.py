"""A runner that trains nothing: each attempt prints one line, leaves a model and ends.

Its endpoints never start. What it knows is in the attempts' folders, so that it is found again after a restart.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from modelyard.core.deployments.ports import WorkerObservation, WorkerSpec
from modelyard.core.deployments.runners import Place, RunnerPlugin, Site
from modelyard.core.jobs.images import answer_for
from modelyard.core.jobs.ports import Attempt, Observation


class ToyRunner:
    def start(self, attempt: Attempt) -> None:
        now = time.time()
        for host in attempt.hosts:
            (attempt.folder / "log" / f"{host}.log").write_text(f"{int(now * 1000)}\ttoy ran {attempt.number}\n")
            (attempt.folder / "ml" / host / "model" / "weights").write_text("1")
        self._end(attempt.folder, {"started": now, "exit_code": 0, "reason": "exited"})

    def observe(self, attempt_folder: Path) -> Observation:
        record = attempt_folder / "exit"
        if not record.exists():
            return Observation("absent")
        told = json.loads(record.read_text())
        return Observation("exited", told["started"], time.time(), told["exit_code"], told["reason"])

    def seal(self, attempt_folder: Path) -> None:
        if not (attempt_folder / "exit").exists():
            self._end(attempt_folder, {"started": None, "exit_code": None, "reason": "stopped"})

    def stop(self, attempt_folder: Path, grace: float) -> None:
        self.seal(attempt_folder)

    def remove(self, attempt_folder: Path) -> None:
        return None

    def _end(self, folder: Path, told: dict[str, object]) -> None:
        (folder / "exit.new").write_text(json.dumps(told))
        (folder / "exit.new").replace(folder / "exit")


class ToyPool:
    def start(self, worker: WorkerSpec) -> None:
        return None

    def observe(self, folder: Path) -> WorkerObservation:
        return WorkerObservation("dead", "the toy serves nothing")

    def stop(self, folder: Path, grace: float) -> None:
        return None

    def remove(self, folder: Path) -> None:
        return None


class ToyEnvironments:
    def __init__(self, site: Site) -> None:
        self._site = site

    def resolve(self, image: str) -> str:
        return answer_for(image, self._site.images)

    def prepare(self, environment: str, requirements: Path | None, log: Path) -> Path:
        return Path(sys.executable)


RUNNER = RunnerPlugin(lambda site: Place(ToyRunner(), ToyPool(), ToyEnvironments(site)))
