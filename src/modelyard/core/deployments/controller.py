"""Makes true what is stored about endpoints: stages, starts, watches, routes, ends.

Owns the effects and their order; decisions are reconcile.py's. Each pass reads, decides, writes under a lease
(fencing token, so that a controller which lost its turn changes nothing), and only then acts: a worker is
stored before it is started, and asked to leave only when the front no longer knows it. Everything may be
done again after a crash at any point.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.base.changes import Changes
from modelyard.base.clock import Clock
from modelyard.base.errors import LeaseLost, ModelyardError
from modelyard.base.ids import Ids
from modelyard.core.deployments.launch import Launcher
from modelyard.core.deployments.model import Endpoint, EndpointState, Plan, Worker, WorkerState
from modelyard.core.deployments.ports import (
    DeploymentTable,
    Lease,
    Route,
    Routes,
    Stale,
    VariantRoute,
    WorkerObservation,
    WorkerPool,
)
from modelyard.core.deployments.reconcile import Facts, decide, plan_to_route
from modelyard.core.deployments.staging import ModelStaging, StagedVariant

LEASE_SECONDS = 3.0
BUSY_PAUSE = 0.02
IDLE_PAUSE = 0.5
KEPT_LOGS = 20
_SWEEP_SECONDS = 60.0
_STAGING_RETRY = 15.0
_EARLY_SECONDS = 60.0
_KILL_SECONDS = 5.0
_REST_SECONDS = 1.0
"""How long an endpoint rests after an error, as a job does (core.jobs.controller.Pace)."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Staging:
    """The staging of one generation: running, done, or failed at some time."""

    future: Future[dict[str, StagedVariant]]
    failed_at: float | None = None


@dataclass(slots=True)
class _Deaths:
    """How often the workers of a variant died soon after their start, and until when it waits."""

    count: int = 0
    until: float = 0.0


@dataclass(slots=True)
class _Memory:
    """What one controller remembers of an endpoint between passes; losing it costs time, nothing else."""

    staging: dict[int, _Staging] = field(default_factory=dict)
    deaths: dict[str, _Deaths] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Workers that could not be launched, and why."""
    lease: Lease | None = None
    routed: int | None = None
    """The generation that the front asks."""
    rest_until: float = -math.inf
    """After an error the endpoint is let be until then (monotonic seconds)."""


_Act = Callable[[Endpoint, list[Worker], _Memory], bool]


class DeploymentController:
    """``step`` is one pass; call it from one thread. ``folder`` is the endpoints' folder of the data directory.

    ``grace`` is how long a leaving worker may finish what it holds, ``load_timeout`` how long a model may
    take to load, both in seconds. ``executor`` stages models and builds environments. ``on_error`` gets what
    went wrong with one endpoint; it rests and is tried again.
    """

    def __init__(
        self,
        table: DeploymentTable,
        pool: WorkerPool,
        routes: Routes,
        staging: ModelStaging,
        launcher: Launcher,
        executor: Executor,
        clock: Clock,
        ids: Ids,
        changes: Changes,
        folder: Path,
        owner: str,
        load_timeout: float = 600,
        grace: float = 65,
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> None:
        self._table = table
        self._pool = pool
        self._routes = routes
        self._staging = staging
        self._launcher = launcher
        self._executor = executor
        self._clock = clock
        self._ids = ids
        self._changes = changes
        self._folder = folder
        self._owner = owner
        self._load_timeout = load_timeout
        self._grace = grace
        self._on_error = on_error or _report
        self._memory: dict[str, _Memory] = {}
        self._published: tuple[Route, ...] | None = None
        self._withdrawn: frozenset[str] = frozenset()
        self._swept: float | None = None

    def step(self) -> float:
        """One pass over all endpoints; the seconds after which the next is due (a change makes it due at once)."""
        busy = self._for_each(self._table.all(), self._table.workers(), self._reconcile)
        workers, endpoints = self._table.workers(), self._table.all()
        busy |= self._publish(endpoints, workers)
        busy |= self._for_each(endpoints, workers, self._end_leaving)
        self._sweep()
        return BUSY_PAUSE if busy else IDLE_PAUSE

    def _for_each(self, endpoints: Iterable[Endpoint], workers: Iterable[Worker], act: _Act) -> bool:
        mine: dict[str, list[Worker]] = {}
        for worker in workers:
            mine.setdefault(worker.endpoint_id, []).append(worker)
        busy = False
        for endpoint in endpoints:
            memory = self._memory.setdefault(endpoint.id, _Memory())
            if self._clock.monotonic() < memory.rest_until:
                continue
            try:
                busy |= act(endpoint, mine.get(endpoint.id, []), memory)
            except (LeaseLost, Stale):
                busy = True
            except Exception as error:  # noqa: BLE001 - the edge of one endpoint: its trouble must not hold up others
                memory.rest_until = self._clock.monotonic() + _REST_SECONDS
                self._on_error(endpoint.name, error)
        return busy

    def close(self, pause: Callable[[float], None], grace: float = 5) -> None:
        """A clean stop: every worker ends, after what it holds or ``grace`` seconds. The next controller starts others
        in their place. Call it when no ``step`` runs; ``pause`` sleeps for so many seconds."""
        for worker in self._table.workers():
            place = self._place(worker)
            if worker.state is not WorkerState.GONE and self._pool.observe(place).state in ("starting", "ready"):
                with contextlib.suppress(OSError):
                    self._pool.stop(place, grace)
        end = self._clock.monotonic() + grace + _KILL_SECONDS
        while self._living() and self._clock.monotonic() < end:
            pause(BUSY_PAUSE)

    def _living(self) -> bool:
        return any(
            self._pool.observe(self._place(worker)).state in ("starting", "ready")
            for worker in self._table.workers()
            if worker.state is not WorkerState.GONE
        )

    def _reconcile(self, endpoint: Endpoint, workers: list[Worker], memory: _Memory) -> bool:
        """Look without a lease; if there is something to do, take the lease, look again, and do it."""
        facts = self._facts(endpoint, workers, memory)
        decision = decide(endpoint, workers, facts, self._ids.new_id)
        for plan in decision.stage:
            self._stage(endpoint, plan, memory)
        started = [worker for worker in workers if worker.state is WorkerState.STARTING]
        unlaunched = [worker for worker in started if facts.observed[worker.id].state == "absent"]
        if unlaunched or decision.workers or decision.endpoint != endpoint:
            self._act(endpoint, memory)
            return True
        staging = any(not staging.future.done() for staging in memory.staging.values())
        return bool(started) or staging or bool(decision.stage)

    def _act(self, seen: Endpoint, memory: _Memory) -> None:
        lease = self._lease(seen, memory)
        endpoint = self._table.get(seen.id)
        if endpoint is None:
            return
        workers = self._table.workers(endpoint.id)
        decision = decide(endpoint, workers, self._facts(endpoint, workers, memory), self._ids.new_id)
        if decision.workers or decision.endpoint != endpoint:
            self._table.write(decision.endpoint, decision.workers, lease)
            self._count_deaths(decision.died, memory)
            self._changes.tell()
        for worker in {worker.id: worker for worker in (*workers, *decision.workers)}.values():
            if worker.state is not WorkerState.STARTING or self._observe(worker, memory).state != "absent":
                continue
            if lease.until <= self._clock.now():
                raise LeaseLost(kind="endpoint", name=endpoint.name, token=lease.token)
            self._launch(decision.endpoint, worker, memory)

    def _facts(self, endpoint: Endpoint, workers: Iterable[Worker], memory: _Memory) -> Facts:
        now = self._clock.now()
        watched = [w for w in workers if w.state in (WorkerState.STARTING, WorkerState.READY)]
        return Facts(
            now=now,
            observed={worker.id: self._observe(worker, memory) for worker in watched},
            staged=self._staged(endpoint, memory, now),
            held=frozenset(variant for variant, deaths in memory.deaths.items() if deaths.until > now),
            load_timeout=self._load_timeout,
            routed=memory.routed,
        )

    def _observe(self, worker: Worker, memory: _Memory) -> WorkerObservation:
        if worker.id in memory.broken:
            return WorkerObservation("dead", memory.broken[worker.id])
        return self._pool.observe(self._place(worker))

    def _staged(self, endpoint: Endpoint, memory: _Memory, now: float) -> dict[int, str | None]:
        """Finished stagings; a failed one is forgotten after a while, when the endpoint needs it still."""
        staged: dict[int, str | None] = {}
        for generation, staging in list(memory.staging.items()):
            if not staging.future.done():
                continue
            error = staging.future.exception()
            if error is None:
                staged[generation] = None
                continue
            staging.failed_at = staging.failed_at if staging.failed_at is not None else now
            if endpoint.plan is not None and now - staging.failed_at > _STAGING_RETRY:
                del memory.staging[generation]
                continue
            staged[generation] = _reason(error)
        return staged

    def _stage(self, endpoint: Endpoint, plan: Plan, memory: _Memory) -> None:
        if plan.generation in memory.staging:
            return
        folder = self._folder / endpoint.id
        future = self._executor.submit(self._staged_variants, folder, plan)
        memory.staging[plan.generation] = _Staging(future)
        future.add_done_callback(lambda _: self._changes.tell())

    def _staged_variants(self, folder: Path, plan: Plan) -> dict[str, StagedVariant]:
        folder.mkdir(mode=0o755, exist_ok=True)
        return dict(self._staging.stage(folder, plan))

    def _launch(self, endpoint: Endpoint, worker: Worker, memory: _Memory) -> None:
        """Start a stored worker. After a crash the staging is asked for again first."""
        plan = _plan_of(endpoint, worker.generation)
        if plan is None:
            return
        staging = memory.staging.get(worker.generation)
        if staging is None:
            self._stage(endpoint, plan, memory)
            return
        if not staging.future.done():
            return
        variant = plan.variant(worker.variant)
        assert variant is not None
        try:
            staged = staging.future.result()[worker.variant]
            self._pool.start(self._launcher.spec(endpoint, variant, worker, staged, self._place(worker)))
        except (ModelyardError, OSError) as error:
            memory.broken[worker.id] = _reason(error)

    def _publish(self, endpoints: Iterable[Endpoint], workers: Iterable[Worker]) -> bool:
        """Tell the front who answers; whether there was news. A worker that leaves is always news: another
        controller may have told the front of it since."""
        plans: dict[str, Plan | None] = {}
        routes: list[Route] = []
        for endpoint in endpoints:
            if endpoint.state is not EndpointState.DELETING:
                mine = [worker for worker in workers if worker.endpoint_id == endpoint.id]
                plans[endpoint.id] = plan_to_route(endpoint, mine)
                routes.append(self._route(endpoint, plans[endpoint.id], mine))
        leaving = frozenset(worker.id for worker in workers if worker.state is WorkerState.LEAVING)
        changed = tuple(routes) != self._published or not leaving <= self._withdrawn
        if changed:
            self._routes.publish(routes)
            self._published = tuple(routes)
        self._withdrawn = leaving
        for endpoint_id, plan in plans.items():
            self._memory.setdefault(endpoint_id, _Memory()).routed = plan.generation if plan is not None else None
        return changed

    def _route(self, endpoint: Endpoint, plan: Plan | None, workers: Iterable[Worker]) -> Route:
        variants: list[VariantRoute] = []
        if plan is None:
            return Route(endpoint.name, endpoint.id, ())
        for variant in plan.variants:
            sockets = tuple(
                str(self._launcher.socket(self._place(worker)))
                for worker in workers
                if worker.state is WorkerState.READY
                and (worker.generation, worker.variant) == (plan.generation, variant.name)
            )
            variants.append(VariantRoute(variant.name, variant.weight, sockets))
        return Route(endpoint.name, endpoint.id, tuple(variants))

    def _end_leaving(self, endpoint: Endpoint, workers: list[Worker], memory: _Memory) -> bool:
        """Ask leaving workers, which the front no longer knows, to end; clear away those that have ended.

        ``workers`` are as they were when the routes were made: one condemned since then is routed still.
        """
        leaving = [worker for worker in workers if worker.state is WorkerState.LEAVING]
        gone = [worker for worker in leaving if self._end(worker, endpoint)]
        if gone:
            self._bury(endpoint, gone, memory)
        live = any(worker.state in (WorkerState.STARTING, WorkerState.READY) for worker in workers)
        if endpoint.state is EndpointState.DELETING and not live and len(gone) == len(leaving):
            self._remove(endpoint, memory)
        return bool(leaving) or endpoint.state is EndpointState.DELETING

    def _end(self, worker: Worker, endpoint: Endpoint) -> bool:
        """Whether the worker has ended; asks it to if not."""
        place = self._place(worker)
        state = self._pool.observe(place).state
        if state in ("starting", "ready") or (state == "absent" and place.exists()):
            hurry = bool(worker.reason) or state == "starting" or endpoint.state is EndpointState.FAILED
            try:
                self._pool.stop(place, 0.0 if hurry else self._grace)
            except FileNotFoundError:
                return True
            return False
        return True

    def _bury(self, endpoint: Endpoint, gone: list[Worker], memory: _Memory) -> None:
        for worker in gone:
            self._launcher.keep_log(self._place(worker), self._folder / endpoint.id / "logs")
            self._pool.remove(self._place(worker))
            memory.broken.pop(worker.id, None)
        current = self._table.get(endpoint.id)
        if current is None:
            return
        buried = [replace(worker, state=WorkerState.GONE) for worker in gone]
        self._table.write(current, buried, self._lease(endpoint, memory))
        for worker_id in self._table.forget_workers(endpoint.id, KEPT_LOGS):
            self._launcher.forget_log(worker_id, self._folder / endpoint.id / "logs")

    def _remove(self, endpoint: Endpoint, memory: _Memory) -> None:
        if any(not staging.future.done() for staging in memory.staging.values()):
            return
        current = self._table.get(endpoint.id)
        if current is None:
            return
        lease = self._lease(current, memory)
        shutil.rmtree(self._folder / endpoint.id, ignore_errors=True)
        self._table.remove(current, lease)
        del self._memory[endpoint.id]
        self._changes.tell()

    def _sweep(self) -> None:
        """Clear away what belongs to no endpoint, and models that no plan names any more."""
        now = self._clock.monotonic()
        if self._swept is not None and now - self._swept < _SWEEP_SECONDS:
            return
        self._swept = now
        folders = [path for path in self._folder.iterdir() if path.is_dir()] if self._folder.is_dir() else []
        known = {endpoint.id: endpoint for endpoint in self._table.all()}
        for folder in folders:
            endpoint = known.get(folder.name)
            workers = self._table.workers(folder.name)
            live = {worker.id for worker in workers if worker.state is not WorkerState.GONE}
            ended = self._sweep_workers(folder, live)
            if endpoint is not None:
                generations = {worker.generation for worker in workers if worker.id in live}
                self._sweep_models(folder, endpoint, generations)
            elif ended:
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep_workers(self, folder: Path, live: set[str]) -> bool:
        """End workers that no row knows (their starter was overtaken); whether none of them is alive."""
        ended = True
        for place in (path for path in folder.iterdir() if (path / "worker.json").exists()):
            if place.name in live:
                continue
            if self._pool.observe(place).state in ("starting", "ready"):
                self._pool.stop(place, 0.0)
                ended = False
            else:
                self._pool.remove(place)
        return ended

    def _sweep_models(self, folder: Path, endpoint: Endpoint, generations: set[int]) -> None:
        memory = self._memory.get(endpoint.id, _Memory())
        if any(not staging.future.done() for staging in memory.staging.values()):
            return
        used = generations | {plan.generation for plan in (endpoint.plan, endpoint.target) if plan is not None}
        for staged in (folder / "models").iterdir() if (folder / "models").is_dir() else ():
            generation = staged.name.partition("-")[0]
            if not generation.isdigit() or int(generation) not in used:
                shutil.rmtree(staged, ignore_errors=True)
                memory.staging.pop(int(generation) if generation.isdigit() else -1, None)

    def _lease(self, endpoint: Endpoint, memory: _Memory) -> Lease:
        held = memory.lease
        if held is None or held.until - self._clock.now() < LEASE_SECONDS / 2:
            held = memory.lease = self._table.claim(endpoint.id, self._owner, LEASE_SECONDS)
        if held is None:
            raise LeaseLost(kind="endpoint", name=endpoint.name, token="of another controller")  # noqa: S106
        return held

    def _count_deaths(self, died: Iterable[Worker], memory: _Memory) -> None:
        """The first replacement comes at once; the next ones wait 1, 2, 4 ... at most 60 s. Workers of a variant
        that die together count once."""
        now = self._clock.now()
        for variant, early in {worker.variant: now - worker.created < _EARLY_SECONDS for worker in died}.items():
            deaths = memory.deaths.setdefault(variant, _Deaths())
            deaths.count = deaths.count + 1 if early else 1
            deaths.until = now + min(60.0, 2.0 ** (deaths.count - 2)) if deaths.count > 1 else now

    def _place(self, worker: Worker) -> Path:
        return self._folder / worker.endpoint_id / worker.id


def _plan_of(endpoint: Endpoint, generation: int) -> Plan | None:
    for plan in (endpoint.target, endpoint.plan):
        if plan is not None and plan.generation == generation:
            return plan
    return None


def _reason(error: BaseException) -> str:
    return error.message if isinstance(error, ModelyardError) else f"{type(error).__name__}: {error}"


def _report(name: str, error: Exception) -> None:
    _log.error("endpoint %s: %s; it is tried again", name, error, exc_info=error)
