"""What to do next with one endpoint: a pure function of what is stored and what is seen.

Owns every decision about workers: how many of which generation, when an update is done, when it has failed.
Refuses to act. Level-triggered: the same facts give the same decision however often and whoever asks, so a
controller that dies between any two steps is followed by one that goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from modelyard.core.deployments.model import Endpoint, EndpointState, Plan, Worker, WorkerState
from modelyard.core.deployments.ports import WorkerObservation
from modelyard.core.deployments.states import ANSWERING, CREATING, check

_S = EndpointState
_W = WorkerState
_REASON_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Facts:
    """What the controller sees now. ``staged`` by generation: None when its files are ready, else why they
    cannot be; a generation that is missing is still being staged. ``held``: variants whose workers died too
    often lately to be started again now. ``routed``: the generation that the front asks, None: none yet."""

    now: float
    observed: Mapping[str, WorkerObservation]
    staged: Mapping[int, str | None]
    held: frozenset[str] = frozenset()
    load_timeout: float = 600
    routed: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be stored: the endpoint and the workers that changed or are new; plans to stage."""

    endpoint: Endpoint
    workers: tuple[Worker, ...] = ()
    stage: tuple[Plan, ...] = ()
    died: tuple[Worker, ...] = ()
    """Workers that were seen dead without being asked to leave."""


def decide(endpoint: Endpoint, workers: Iterable[Worker], facts: Facts, new_id: Callable[[], str]) -> Decision:
    """The next step of ``endpoint``; equal to what was given when nothing is to be done."""
    before = {worker.id: worker for worker in workers if worker.state is not _W.GONE}
    pass_ = _Pass(endpoint, dict(before), facts, new_id)
    pass_.look()
    pass_.move()
    pass_.balance()
    return Decision(
        endpoint=pass_.endpoint,
        workers=tuple(worker for worker in pass_.workers.values() if before.get(worker.id) != worker),
        stage=tuple(pass_.unstaged.values()),
        died=tuple(pass_.died),
    )


def plan_to_route(endpoint: Endpoint, workers: Iterable[Worker]) -> Plan | None:
    """The plan whose workers the front shall ask: the target as soon as all its workers are ready, so that nobody is
    told of an endpoint that serves before the front knows it; else the plan that serves."""
    target = endpoint.target
    if target is not None and endpoint.state in (_S.STARTING, _S.UPDATING):
        ready = Counter(w.variant for w in workers if w.state is _W.READY and w.generation == target.generation)
        if all(ready[variant.name] >= variant.count for variant in target.variants):
            return target
    return endpoint.plan if endpoint.state in ANSWERING else None


@dataclass(slots=True)
class _Pass:
    endpoint: Endpoint
    workers: dict[str, Worker]
    facts: Facts
    new_id: Callable[[], str]
    failed: list[Worker] = field(default_factory=list)
    died: list[Worker] = field(default_factory=list)
    unstaged: dict[int, Plan] = field(default_factory=dict)

    def look(self) -> None:
        """Take over what is seen of the workers."""
        for worker in list(self.workers.values()):
            seen = self.facts.observed.get(worker.id, WorkerObservation("absent"))
            if worker.state is _W.STARTING:
                self._look_at_starting(worker, seen)
            elif worker.state is _W.READY and seen.state != "ready":
                self.died.append(self._leave(worker, f"it ended: {seen.message}" if seen.message else "it ended"))

    def _look_at_starting(self, worker: Worker, seen: WorkerObservation) -> None:
        if seen.state == "ready":
            self.workers[worker.id] = replace(worker, state=_W.READY)
            return
        reason = ""
        if seen.state == "dead":
            reason = f"it ended before it was ready: {seen.message}"
        elif self.facts.now - worker.created > self.facts.load_timeout:
            reason = f"it was not ready after {self.facts.load_timeout:g} s: {seen.message}"
        if reason:
            gone = self._leave(worker, reason)
            self.failed.append(gone)
            self.died.append(gone)

    def move(self) -> None:
        """Follow the table of states as far as the facts allow."""
        endpoint = self.endpoint
        if endpoint.state is _S.QUEUED:
            self._to(_S.BUILDING)
        target = endpoint.target
        if target is not None and endpoint.state in CREATING | {_S.UPDATING}:
            reason = self._failure(target)
            if reason is not None:
                self._fail(reason)
                return
            staged = target.generation in self.facts.staged
            if self.endpoint.state is _S.BUILDING and staged:
                self._to(_S.STARTING)
            answers = plan_to_route(self.endpoint, self.workers.values()) is target
            if answers and self.facts.routed == target.generation:
                self._to(_S.SERVING, plan=target, target=None, config_name=target.config_name)
        leaving = any(worker.state is _W.LEAVING for worker in self.workers.values())
        if endpoint.state is _S.ROLLING_BACK and not leaving:
            self._to(_S.SERVING)

    def balance(self) -> None:
        """Start what is missing, let go what is too many."""
        wanted = self._wanted()
        for worker in self.workers.values():
            if worker.state in (_W.STARTING, _W.READY) and (worker.generation, worker.variant) not in wanted:
                self._leave(worker, "")
        for (generation, variant), (count, plan) in wanted.items():
            live = self._live(generation, variant)
            for worker in live[count:]:
                self._leave(worker, "")
            missing = count - len(live)
            if missing <= 0:
                continue
            if generation not in self.facts.staged:
                self.unstaged[generation] = plan
            elif self.facts.staged[generation] is None and variant not in self.facts.held:
                for _ in range(missing):
                    self._start(generation, variant)

    def _wanted(self) -> dict[tuple[int, str], tuple[int, Plan]]:
        """The number of workers for each (generation, variant), and the plan that they belong to."""
        endpoint = self.endpoint
        plans = []
        if endpoint.plan is not None and endpoint.state in ANSWERING:
            plans.append(endpoint.plan)
        if endpoint.target is not None and endpoint.state in CREATING | {_S.UPDATING}:
            plans.append(endpoint.target)
        wanted: dict[tuple[int, str], tuple[int, Plan]] = {}
        for plan in plans:
            for variant in plan.variants:
                key = (plan.generation, variant.name)
                wanted[key] = (max(variant.count, wanted.get(key, (0, plan))[0]), plan)
        return wanted

    def _live(self, generation: int, variant: str) -> list[Worker]:
        """Ready ones first, then the oldest: what is too many is taken from the end."""
        mine = [
            worker
            for worker in self.workers.values()
            if worker.generation == generation and worker.variant == variant and worker.state in (_W.STARTING, _W.READY)
        ]
        return sorted(mine, key=lambda worker: (worker.state is not _W.READY, worker.created, worker.id))

    def _failure(self, target: Plan) -> str | None:
        reason = self.facts.staged.get(target.generation)
        if reason is not None:
            return reason
        for worker in self.failed:
            if worker.generation == target.generation:
                return f"The worker of production variant {worker.variant} failed: {worker.reason}"
        return None

    def _fail(self, reason: str) -> None:
        if self.endpoint.state is _S.UPDATING:
            self._to(_S.ROLLING_BACK, target=None, failure_reason=_cut(reason))
        else:
            self._to(_S.FAILED, failure_reason=_cut(reason))

    def _to(self, state: EndpointState, **changes: object) -> None:
        check(self.endpoint.name, self.endpoint.state, state)
        self.endpoint = replace(self.endpoint, state=state, modified=self.facts.now, **changes)  # type: ignore[arg-type]

    def _leave(self, worker: Worker, reason: str) -> Worker:
        self.workers[worker.id] = replace(worker, state=_W.LEAVING, reason=_cut(reason))
        return self.workers[worker.id]

    def _start(self, generation: int, variant: str) -> None:
        worker = Worker(self.new_id(), self.endpoint.id, variant, generation, _W.STARTING, self.facts.now)
        self.workers[worker.id] = worker


def _cut(reason: str) -> str:
    """At most 1,024 characters: the beginning, which names the fault, and the end of what was printed."""
    if len(reason) <= _REASON_LIMIT:
        return reason
    head = reason[:200]
    return f"{head} ... {reason[-(_REASON_LIMIT - len(head) - 5) :]}"
