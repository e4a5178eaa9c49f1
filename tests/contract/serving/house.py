"""Deployments over the real process pool: real archives, sandboxes and endpoint processes, no front and no doors."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from modelyard.app.supervisor import COMMAND
from modelyard.base.changes import Changes
from modelyard.base.clock import SystemClock
from modelyard.base.disk import RealDisk, connect_unix, try_lock
from modelyard.base.errors import NotFound
from modelyard.base.ids import RandomIds
from modelyard.core.artifacts.archives import ArchiveLimits, extract
from modelyard.core.deployments.controller import DeploymentController
from modelyard.core.deployments.launch import Launcher, WorkerLimits
from modelyard.core.deployments.model import Endpoint, NewConfig, Variant
from modelyard.core.deployments.ports import Route
from modelyard.core.deployments.service import DeploymentService
from modelyard.core.deployments.staging import ModelStaging
from modelyard.core.deployments.states import SETTLED
from modelyard.core.jobs.packing import packed
from modelyard.core.models.model import Model, ModelContainer
from modelyard.runners.process.environments import ProcessEnvironments
from modelyard.runners.process.pool import ProcessPool
from modelyard.runners.process.rules import Rules
from modelyard.serving.wire import FrameParser, Reply, decode_meta, encode_meta, receive_frame, send_frame
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.deployments import SqlDeploymentTable
from tests.contract.serving.process import SKLEARN


class ServingHouse:
    """One data directory. ``objects`` are what S3 holds; ``step_until`` is the server's loop."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects: dict[str, bytes] = {}
        self.models: dict[str, Model] = {}
        self.routes: tuple[Route, ...] = ()
        self.endpoints = root / "endpoints"
        self.endpoints.mkdir(parents=True)
        root.chmod(0o700)
        self._turn = threading.Lock()
        self._changed = threading.Event()
        self._lock = try_lock(root / "server.lock")
        database = Database(f"sqlite:///{root}/catalogue.db")
        database.migrate()
        self.clock, self.ids, self.changes = SystemClock(), RandomIds(), Changes()
        self.changes.listen(self._changed.set)
        self.table = SqlDeploymentTable(database, self.clock)
        self.service = DeploymentService(self.table, self, self.clock, self.ids, self.changes, self.endpoints)
        rules = Rules(COMMAND, (root,), root / "server.lock", patience=60)
        self.pool = ProcessPool(rules, RealDisk(), self.clock)
        self.executor = ThreadPoolExecutor(2)
        self.controller = self.new_controller()

    def new_controller(self, load_timeout: float = 60) -> DeploymentController:
        environments = ProcessEnvironments(self.root / "envs")
        return DeploymentController(
            self.table,
            self.pool,
            self,
            ModelStaging(self, environments, _unpack),  # type: ignore[arg-type]
            Launcher(RealDisk(), WorkerLimits(memory=4 << 30)),
            self.executor,
            self.clock,
            self.ids,
            self.changes,
            self.endpoints,
            self.ids.new_id(),
            load_timeout=load_timeout,
        )

    def publish(self, routes: Sequence[Route]) -> None:
        """As the front takes a table: between two requests, never while one is on its way to a worker."""
        with self._turn:
            self.routes = tuple(routes)

    def fetch(self, location: str, target: Path) -> None:
        if location not in self.objects:
            raise NotFound(kind="object", name=location)
        target.write_bytes(self.objects[location])

    def get(self, id_or_name: str) -> Model:
        return self.models[id_or_name]

    def model(self, name: str, files: dict[str, bytes], image: str = SKLEARN, code: dict[str, bytes] | None = None):
        """A model in S3, its code as the v2 SDK hands it over."""
        location, variables = f"s3://models/{name}.tar.gz", {}
        self.objects[location] = packed(files)
        if code is not None:
            self.objects[f"s3://models/{name}-source.tar.gz"] = packed(code)
            variables = {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://models/{name}-source.tar.gz",
            }
        container = ModelContainer(image, location, variables)
        self.models[name] = Model(name, name, "sagemaker", "us-east-1", (container,), {}, 0, 0)

    def deploy(self, model: str, count: int = 1, name: str = "e") -> Endpoint:
        """An endpoint of one variant A, when it has settled."""
        self.config(f"{name}-{model}", model, count)
        self.service.create(name, f"{name}-{model}", "sagemaker", "us-east-1", {})
        return self.settled(name)

    def config(self, name: str, model: str, count: int = 1) -> str:
        variant = Variant("A", model, instance_count=count)
        self.service.create_config(NewConfig(name, "sagemaker", "us-east-1", (variant,)))
        return name

    def settled(self, name: str = "e", timeout: float = 90) -> Endpoint:
        self.step_until(lambda: self.service.get(name).state in SETTLED, timeout)
        return self.service.get(name)

    def step_until(self, done, timeout: float = 90) -> None:
        end = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < end, self.table.all()
            self._changed.clear()
            self._changed.wait(self.controller.step())

    def sockets(self, name: str = "e") -> list[str]:
        return [
            socket
            for route in self.routes
            if route.endpoint == name
            for variant in route.variants
            for socket in variant.sockets
        ]

    def ask(self, body: bytes, socket: str | None = None, **meta: str) -> Reply:
        """One prediction, as the front asks for it."""
        with self._turn, connect_unix(Path(socket or self.sockets()[0]), timeout=30) as connection:
            raw = encode_meta({name.replace("_", "-"): value for name, value in meta.items()})
            send_frame(connection, [(0, raw, body)])
            frame = receive_frame(connection, FrameParser())
        assert frame is not None
        code, answer, payload = frame[0]
        return Reply(code, payload, decode_meta(answer))

    def log(self, name: str = "e") -> str:
        endpoint = self.service.get(name)
        streams = self.service.log_streams(endpoint)
        return "\n".join(line.text for stream in streams for line in self.service.read_log(endpoint, stream.name).lines)

    def close(self) -> None:
        self.controller.close(time.sleep)
        self.executor.shutdown()


def _unpack(source: Path, target: Path) -> None:
    with source.open("rb") as stream:
        extract(stream, target, replace(ArchiveLimits(), disk_reserve=0))
