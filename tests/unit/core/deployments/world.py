"""A small world around the controller: workers that do what a test says, a front that remembers its tables."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.base.changes import Changes
from modelyard.base.clock import SteppedClock
from modelyard.base.disk import RealDisk
from modelyard.base.errors import Conflict, Invalid, ModelyardError, NotFound
from modelyard.base.ids import CountedIds
from modelyard.core.deployments.controller import DeploymentController
from modelyard.core.deployments.launch import Launcher, WorkerLimits
from modelyard.core.deployments.model import Endpoint, NewConfig, Variant
from modelyard.core.deployments.ports import Route, WorkerObservation, WorkerSpec
from modelyard.core.deployments.service import DeploymentService
from modelyard.core.deployments.staging import ModelStaging
from modelyard.core.models.model import Model, ModelContainer
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.deployments import SqlDeploymentTable

ABSENT = WorkerObservation("absent")


class FakePool:
    """Workers as the test wants them: ready at once unless ``behaviour`` says otherwise for their variant's model."""

    def __init__(self) -> None:
        self.states: dict[Path, WorkerObservation] = {}
        self.specs: dict[Path, WorkerSpec] = {}
        self.stopped: list[tuple[Path, float]] = []
        self.starts: list[str] = []
        self.behaviour: dict[str, WorkerObservation] = {}
        self.lingers = False

    def start(self, worker: WorkerSpec) -> None:
        if not worker.folder.is_dir():
            raise FileNotFoundError(worker.folder)
        if worker.folder in self.states:
            return
        self.starts.append(worker.id)
        self.specs[worker.folder] = worker
        (worker.folder / "log").write_text("1000\thello\n")
        image = json.loads((worker.folder / "worker.json").read_text())["image"]
        self.states[worker.folder] = self.behaviour.get(image, WorkerObservation("ready"))

    def observe(self, folder: Path) -> WorkerObservation:
        return self.states.get(folder, ABSENT)

    def stop(self, folder: Path, grace: float) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        self.stopped.append((folder, grace))
        if not self.lingers:
            self.states[folder] = WorkerObservation("dead")

    def remove(self, folder: Path) -> None:
        if self.observe(folder).state in ("starting", "ready"):
            raise Conflict(what="it still runs")
        self.states.pop(folder, None)
        if folder.is_dir():
            for path in folder.iterdir():
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            folder.rmdir()

    def alive(self) -> list[Path]:
        return [folder for folder, seen in self.states.items() if seen.state in ("starting", "ready")]

    def die(self, folder: Path, message: str = "killed") -> None:
        self.states[folder] = WorkerObservation("dead", message)


class FakeRoutes:
    """Every table that was published."""

    def __init__(self) -> None:
        self.tables: list[tuple[Route, ...]] = []

    def publish(self, routes: Sequence[Route]) -> None:
        self.tables.append(tuple(routes))

    def of(self, name: str) -> dict[str, tuple[float, tuple[str, ...]]]:
        route = next((one for one in self.tables[-1] if one.endpoint == name), None)
        return {one.name: (one.weight, one.sockets) for one in route.variants} if route else {}


class FakeModels:
    """Models m1, m2, ... of image i1, i2, ...; m0 has no artifact."""

    def get(self, id_or_name: str) -> Model:
        if not id_or_name.startswith("m"):
            raise NotFound(kind="model", name=id_or_name)
        number = id_or_name[1:]
        artifact = None if number == "0" else f"s3://bucket/{number}.tar.gz"
        container = ModelContainer(f"i{number}", artifact, {"COLOUR": number})
        return Model(f"id-{id_or_name}", id_or_name, "sagemaker", "us-east-1", (container,), {}, 0.0, 0.0)


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk(RealDisk):
    """A disk that takes no more bytes while ``full``."""

    def __init__(self) -> None:
        self.full = False

    def sync(self, fd: int) -> None:
        if self.full:
            raise no_space()
        super().sync(fd)


class FakeInputs:
    """Every artifact exists but those that ``missing`` names; ``trouble`` is raised when half of one has arrived."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.trouble: Exception | None = None
        self.fetched: list[str] = []

    def fetch(self, location: str, target: Path) -> None:
        if location in self.missing:
            raise NotFound(kind="object", name=location)
        self.fetched.append(location)
        target.write_bytes(location.encode()[: 5 if self.trouble else None])
        if self.trouble is not None:
            raise self.trouble


class FakeEnvironments:
    def __init__(self) -> None:
        self.unknown: set[str] = set()

    def resolve(self, image: str) -> str:
        if image in self.unknown:
            raise Invalid(what=f"no environment answers for {image}")
        return "base"

    def prepare(self, environment: str, requirements: Path | None, log: Path) -> Path:
        return Path("/usr/bin/python3")


class NowExecutor(Executor):
    """Runs at once, or, when ``held``, when the test says."""

    def __init__(self) -> None:
        self.held = False
        self._waiting: list[tuple[Future, object, tuple]] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        self._waiting.append((future, fn, args))
        if not self.held:
            self.run()
        return future

    def run(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future, fn, args in waiting:
            try:
                future.set_result(fn(*args))
            except Exception as error:  # noqa: BLE001 - what a future does
                future.set_exception(error)


def unpack(archive: Path, target: Path) -> None:
    """Every archive holds one file."""
    target.mkdir()
    (target / "model.joblib").write_bytes(archive.read_bytes())


@dataclass
class World:
    folder: Path
    clock: SteppedClock = field(default_factory=SteppedClock)
    pool: FakePool = field(default_factory=FakePool)
    routes: FakeRoutes = field(default_factory=FakeRoutes)
    inputs: FakeInputs = field(default_factory=FakeInputs)
    environments: FakeEnvironments = field(default_factory=FakeEnvironments)
    executor: NowExecutor = field(default_factory=NowExecutor)
    ids: CountedIds = field(default_factory=CountedIds)
    changes: Changes = field(default_factory=Changes)
    disk: FullDisk = field(default_factory=FullDisk)
    errors: list[tuple[str, Exception]] = field(default_factory=list)
    tolerated: tuple[type[Exception], ...] = (ModelyardError, OSError)
    """What a controller may report of an endpoint; anything else fails the test."""

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.folder}/catalogue.db")
        self.database.migrate()  # does nothing where the folder holds a migrated catalogue already
        self.table = SqlDeploymentTable(self.database, self.clock)
        self.endpoints = self.folder / "endpoints"
        self.endpoints.mkdir()
        self.service = DeploymentService(
            self.table, FakeModels(), self.clock, self.ids, self.changes, self.endpoints, worker_limit=8
        )
        self.controller = self.new_controller("first")

    def new_controller(self, owner: str) -> DeploymentController:
        """Another controller on the same data, as after a restart."""
        return DeploymentController(
            self.table,
            self.pool,
            self.routes,
            ModelStaging(self.inputs, self.environments, unpack, self.disk),  # type: ignore[arg-type]
            Launcher(self.disk, WorkerLimits()),
            self.executor,
            self.clock,
            self.ids,
            self.changes,
            self.endpoints,
            owner,
            on_error=self.report,
        )

    def report(self, name: str, error: Exception) -> None:
        if not isinstance(error, self.tolerated):
            raise error
        self.errors.append((name, error))

    def config(self, name: str, *variants: Variant) -> str:
        self.service.create_config(NewConfig(name, "sagemaker", "us-east-1", variants or (Variant("A", "m1"),)))
        return name

    def create(self, name: str = "flowers", config: str = "c1") -> Endpoint:
        return self.service.create(name, config, "sagemaker", "us-east-1", {})

    def serving(self, *variants: Variant) -> Endpoint:
        """An endpoint ``flowers`` of configuration ``c1`` that serves."""
        self.config("c1", *variants)
        self.create()
        self.settle()
        return self.get()

    def get(self, name: str = "flowers") -> Endpoint:
        return self.service.get(name)

    def settle(self, passes: int = 12) -> None:
        for _ in range(passes):
            self.controller.step()
            self.clock.step(0.1)

    def folders(self, name: str = "flowers", variant: str = "A") -> list[Path]:
        """The folders of the workers that the front knows."""
        return [Path(socket).parent for socket in self.routes.of(name).get(variant, (0.0, ()))[1]]
