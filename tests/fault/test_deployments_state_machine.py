"""Controllers that crash at any write, users who change their minds, workers that die: endpoints end right.

The clock is stepped; each controller is one that may be replaced at any time by another owner.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from modelyard.base.errors import ModelyardError
from modelyard.core.deployments.controller import DeploymentController
from modelyard.core.deployments.model import EndpointState, Variant, WorkerState
from modelyard.core.deployments.ports import WorkerObservation
from modelyard.core.deployments.states import ANSWERING, SETTLED
from modelyard.stores.sql.deployments import SqlDeploymentTable
from tests.fault.jobs_machine import MEMORY
from tests.unit.core.deployments.world import World
from tests.unit.core.jobs.world import template

pytestmark = pytest.mark.fault
NAMES = st.sampled_from(["one", "two"])
CONFIGS = {
    "small": (Variant("A", "m1"),),
    "wide": (Variant("A", "m1", instance_count=2), Variant("B", "m2")),
    "other": (Variant("A", "m3", instance_count=2),),
    "broken": (Variant("A", "m1"), Variant("B", "m4")),
    "slow": (Variant("A", "m5"),),
    "lost": (Variant("A", "m6"),),
}
SETTLING = 30
"""Passes of both controllers, five seconds each, that an endpoint may take to settle once nobody disturbs it."""

_template: list[bytes] = []


class Crash(BaseException):
    """The controller's process dies here."""


class Deployments(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        if not _template:
            with tempfile.TemporaryDirectory() as folder:
                _template.append(template(Path(folder)).read_bytes())
        self.folder = Path(tempfile.mkdtemp(prefix="modelyard-endpoints-", dir=MEMORY if MEMORY.is_dir() else None))
        (self.folder / "catalogue.db").write_bytes(_template[0])
        self.world = World(self.folder)
        self.fuse: int | None = None
        self.pause: Callable[[], None] | None = None
        self.pause_in = 0
        self.promised: dict[str, str | None] = {}
        """By endpoint id: the configuration that was acknowledged last; None: a deletion."""
        self.owners = 2
        world = self.world
        world.pool.behaviour["i4"] = WorkerObservation("dead", "ImportError")
        world.pool.behaviour["i5"] = WorkerObservation("starting")
        world.inputs.missing.add("s3://bucket/6.tar.gz")
        for name, variants in CONFIGS.items():
            world.config(name, *variants)
        for holder, name in (
            (world.table, "claim"),
            (world.table, "write"),
            (world.table, "remove"),
            (world.pool, "start"),
            (world.pool, "stop"),
            (world.pool, "remove"),
            (world.routes, "publish"),
        ):
            setattr(holder, name, self._fused(getattr(holder, name)))
        stop = world.pool.stop
        world.pool.stop = lambda folder, grace: self._check_unrouted(folder) or stop(folder, grace)  # type: ignore
        self.create("one", "wide")
        self.controllers = [world.new_controller("a"), world.new_controller("b")]

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.fuse = None
        self.world.pool.behaviour["i5"] = WorkerObservation("ready")
        for folder in self.world.pool.alive():
            self.world.pool.states[folder] = WorkerObservation("ready")
        self.world.clock.step(700)
        try:
            self._settle()
            self._check_end()
        finally:
            self.world.database.close()
            shutil.rmtree(self.folder)

    def _settle(self) -> None:
        """Until all is as promised, and then for as long as anything that waits could wait still."""
        for _ in range(SETTLING):
            self._pass_by_both()
            if self._is_right():
                break
        for seconds in (5, 60, 700):
            self.world.clock.step(seconds)
            self._pass_by_both()
            self._pass_by_both()

    def _pass_by_both(self) -> None:
        for controller in self.controllers:
            controller.step()
        self.world.clock.step(5)

    def _is_right(self) -> bool:
        try:
            self._check_end()
        except (AssertionError, KeyError):
            return False
        return True

    @rule(name=NAMES, config=st.sampled_from(sorted(CONFIGS)))
    def create(self, name: str, config: str) -> None:
        with contextlib.suppress(ModelyardError):
            self.promised[self.world.create(name, config).id] = config

    @rule(name=NAMES, config=st.sampled_from(sorted(CONFIGS)))
    def update(self, name: str, config: str) -> None:
        with contextlib.suppress(ModelyardError):
            self.promised[self.world.service.update(name, config).id] = config

    @rule(name=NAMES, weight=st.sampled_from([None, 0.5, 3.0]), count=st.sampled_from([None, 1, 3]))
    def update_weights(self, name: str, weight: float | None, count: int | None) -> None:
        """Once acknowledged it is of the configuration in force: an earlier update that failed is forgotten."""
        with contextlib.suppress(ModelyardError):
            endpoint = self.world.service.update_weights(name, {"A": (weight, count)})
            self.promised[endpoint.id] = endpoint.config_name

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        with contextlib.suppress(ModelyardError):
            endpoint = self.world.get(name)
            self.world.service.delete(name)
            self.promised[endpoint.id] = None

    @rule(pick=st.integers(0, 9))
    def kill_a_worker(self, pick: int) -> None:
        if alive := self.world.pool.alive():
            self.world.pool.die(alive[pick % len(alive)])

    @rule(pick=st.integers(0, 9))
    def report_a_hung_worker(self, pick: int) -> None:
        if alive := self.world.pool.alive():
            self.world.service.report_hung(str(alive[pick % len(alive)] / "socket"))

    @rule(which=st.integers(0, 1), times=st.integers(1, 4))
    def step(self, which: int, times: int) -> None:
        for _ in range(times):
            self.controllers[which].step()
            self.world.clock.step(0.2)

    @rule(which=st.integers(0, 1), after=st.integers(1, 6))
    def step_and_crash(self, which: int, after: int) -> None:
        self.fuse = after
        with contextlib.suppress(Crash):
            self.controllers[which].step()
        self.fuse = None
        self.owners += 1
        self.controllers[which] = self.world.new_controller(f"c{self.owners}")

    @rule(
        which=st.integers(0, 1),
        name=NAMES,
        first=st.sampled_from(["create", "update", "kill", "nothing"]),
        meanwhile=st.sampled_from(["delete", "update", "hung", "nothing"]),
        before=st.integers(1, 4),
    )
    def step_paused_before_a_write_or_effect(
        self, which: int, name: str, first: str, meanwhile: str, before: int
    ) -> None:
        """A controller with something to do loses the processor for longer than its lease; the world goes on."""
        self._act(first, name, "wide")

        def go_on() -> None:
            self.world.clock.step(3.5)
            self._act(meanwhile, name, "other")
            self.controllers[1 - which].step()
            self.controllers[1 - which].step()

        for _ in range(4):
            self.pause, self.pause_in = go_on, before
            self.controllers[which].step()
            if self.pause is None:
                break
        self.pause = None

    def _act(self, act: str, name: str, config: str) -> None:
        match act:
            case "create":
                self.create(name, config)
            case "update":
                self.update(name, config)
            case "delete":
                self.delete(name)
            case "kill":
                self.kill_a_worker(0)
            case "hung":
                self.report_a_hung_worker(0)

    @rule(seconds=st.sampled_from([0.5, 2.9, 3.1, 30.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.step(seconds)

    @invariant()
    def what_serves_has_a_plan(self) -> None:
        if hasattr(self, "world"):
            for endpoint in self.world.table.all():
                assert (endpoint.plan is not None) or endpoint.state not in ANSWERING
                assert endpoint.target is not None or endpoint.state is not EndpointState.UPDATING

    @invariant()
    def no_worker_started_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(set(self.world.pool.starts)) == len(self.world.pool.starts)

    def _fused(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.pause_in -= 1
            if self.pause is not None and self.pause_in == 0:
                pause, self.pause = self.pause, None
                pause()
            result = act(*arguments, **named)
            if self.fuse is not None:
                self.fuse -= 1
                if self.fuse == 0:
                    raise Crash
            return result

        return call

    def _check_unrouted(self, folder: Path) -> None:
        """No live worker is asked to leave while the front knows it."""
        if self.world.pool.observe(folder).state == "ready" and self.world.routes.tables:
            assert str(folder / "socket") not in str(self.world.routes.tables[-1])

    def _check_end(self) -> None:
        world = self.world
        routed: set[Path] = set()
        kept = {endpoint.id: endpoint for endpoint in world.table.all()}
        assert set(kept) == {one for one, config in self.promised.items() if config is not None}
        assert all(one.config_name == self.promised[one.id] or one.failure_reason for one in kept.values())
        for endpoint in world.table.all():
            assert endpoint.state in SETTLED, endpoint
            workers = [one for one in world.table.workers(endpoint.id) if one.state is not WorkerState.GONE]
            wanted = endpoint.plan.variants if endpoint.state is EndpointState.SERVING and endpoint.plan else ()
            for variant in wanted:
                mine = [one for one in workers if one.variant == variant.name]
                assert len(mine) == variant.count, (endpoint, workers)
                assert world.routes.of(endpoint.name)[variant.name][0] == variant.weight
                routed |= set(world.folders(endpoint.name, variant.name))
            assert len(workers) == sum(variant.count for variant in wanted)
        assert set(world.pool.alive()) == routed
        assert {path.name for path in world.endpoints.iterdir()} <= {one.id for one in world.table.all()}


def machine(examples: int) -> settings:
    """A failing schedule is printed as found; to shrink it takes minutes. The same schedules at each run."""
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.timeout(900)
def test_endpoints_end_right_under_every_schedule() -> None:
    run_state_machine_as_test(Deployments, settings=machine(500))


def paused_schedules() -> Iterator[Deployments]:
    """A serving endpoint and a new one, one controller paused past its lease at each of its writes and effects while
    the user goes on: the schedules that the guards of a write are for, one after the other."""
    acts = itertools.product(("update", "kill", "nothing"), ("delete", "update"), range(1, 5))
    for first, meanwhile, before in acts:
        state = Deployments()
        state.begin()
        state.step(0, 4)
        state.step_paused_before_a_write_or_effect(0, "one", first, meanwhile, before)
        state.create("two", "small")
        state.step_paused_before_a_write_or_effect(1, "two", "nothing", meanwhile, before)
        yield state


def test_a_controller_paused_past_its_lease_breaks_no_promise() -> None:
    for state in paused_schedules():
        state.teardown()


def test_without_the_guards_of_a_write_some_promise_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlDeploymentTable, "_guard", lambda *_: None)
    with pytest.raises((AssertionError, KeyError)):
        for state in paused_schedules():
            state.teardown()


@pytest.mark.timeout(900)
def test_workers_stopped_before_the_front_forgets_them_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(controller: DeploymentController) -> float:
        controller._for_each(controller._table.all(), controller._table.workers(), controller._reconcile)
        workers, endpoints = controller._table.workers(), controller._table.all()
        controller._for_each(endpoints, workers, controller._end_leaving)
        controller._publish(endpoints, workers)
        return 0.1

    monkeypatch.setattr(DeploymentController, "step", hasty)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Deployments, settings=machine(200))
