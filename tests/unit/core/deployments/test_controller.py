"""The law of endpoints: made true level by level, never without an answer once they serve, gone without a trace."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.base.errors import LeaseLost, NotFound, OutOfSpace
from modelyard.core.deployments.model import EndpointState, Variant, WorkerState
from modelyard.core.deployments.ports import Stale, WorkerObservation
from tests.unit.core.deployments.world import World, no_space

STARTING = WorkerObservation("starting", "loading")


def test_an_endpoint_is_creating_until_all_its_workers_are_ready(world: World) -> None:
    world.pool.behaviour["i2"] = STARTING
    world.config("c1", Variant("A", "m1", instance_count=2), Variant("B", "m2"))
    world.create()
    states = [world.get().state]
    for _ in range(5):
        world.controller.step()
        states.append(world.get().state)
    assert states[0] is EndpointState.QUEUED
    assert states[-1] is EndpointState.STARTING
    assert len(world.pool.alive()) == 3
    assert world.routes.of("flowers") == {}
    slow = next(folder for folder, seen in world.pool.states.items() if seen.state == "starting")
    world.pool.states[slow] = WorkerObservation("ready")
    world.settle()
    assert world.get().state is EndpointState.SERVING
    served = world.routes.of("flowers")
    assert {name: (weight, len(sockets)) for name, (weight, sockets) in served.items()} == {
        "A": (1.0, 2),
        "B": (1.0, 1),
    }


def test_a_worker_gets_the_model_the_variables_and_its_own_description(world: World) -> None:
    world.serving()
    (folder,) = world.folders()
    spec = world.pool.specs[folder]
    assert (folder / "ml" / "model" / "model.joblib").read_text() == "s3://bucket/1.tar.gz"
    assert (spec.variables["COLOUR"], spec.variables["SM_MODEL_DIR"]) == ("1", "/opt/ml/model")
    assert spec.command == ("/usr/bin/python3", "-m", "modelyard.app.endpoint")


def test_a_worker_that_dies_while_loading_fails_the_endpoint_with_its_last_lines(world: World) -> None:
    world.pool.behaviour["i1"] = WorkerObservation("dead", "RuntimeError: no weights here")
    endpoint = world.serving()
    assert endpoint.state is EndpointState.FAILED
    assert "production variant A" in (endpoint.failure_reason or "")
    assert (endpoint.failure_reason or "").endswith("RuntimeError: no weights here")
    assert world.pool.alive() == []
    assert [worker.state for worker in world.table.workers()] == [WorkerState.GONE]


def test_a_model_that_loads_too_long_fails_the_endpoint(world: World) -> None:
    world.pool.behaviour["i1"] = STARTING
    world.serving()
    world.clock.step(601)
    world.settle()
    assert world.get().state is EndpointState.FAILED
    assert "not ready after 600 s: loading" in (world.get().failure_reason or "")
    assert world.pool.alive() == []


def test_a_missing_artifact_and_an_unknown_image_fail_the_endpoint_by_name(world: World) -> None:
    world.inputs.missing.add("s3://bucket/1.tar.gz")
    world.environments.unknown.add("i2")
    world.config("c1")
    world.config("c2", Variant("A", "m2"))
    world.create("one", "c1")
    world.create("two", "c2")
    world.settle()
    assert "s3://bucket/1.tar.gz" in (world.get("one").failure_reason or "")
    assert "no environment answers for i2" in (world.get("two").failure_reason or "")
    assert [world.get(name).state for name in ("one", "two")] == [EndpointState.FAILED] * 2
    assert world.pool.starts == []


def _reserve_is_touched(world: World, full: bool) -> None:
    """As the inputs and the unpacker say it, which look before they write."""
    world.inputs.trouble = OutOfSpace(wanted=9, reserve=1 << 30, where="/data") if full else None


def _model_does_not_fit(world: World, full: bool) -> None:
    world.inputs.trouble = no_space() if full else None


def _worker_file_does_not_fit(world: World, full: bool) -> None:
    world.disk.full = full


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (_reserve_is_touched, "free some space or lower the setting disk_reserve"),
        (_model_does_not_fit, "No space left on device"),
        (_worker_file_does_not_fit, "No space left on device"),
    ],
)
def test_on_a_full_disk_an_endpoint_fails_and_says_so_and_nothing_half_made_stays(
    world: World, fill: Callable[[World, bool], None], words: str
) -> None:
    fill(world, True)
    failed = world.serving()
    assert failed.state is EndpointState.FAILED and words in (failed.failure_reason or "")
    place = world.endpoints / failed.id
    assert world.pool.starts == [] and {path.name for path in place.iterdir()} <= {"models", "logs"}
    staged = [path for path in place.glob("models/*") if path.name.startswith(".") or not (path / "code").is_dir()]
    assert staged == []
    world.service.delete("flowers")
    world.settle()
    assert world.table.all() == () and not place.exists()
    fill(world, False)
    world.create()
    world.settle()
    assert world.get().state is EndpointState.SERVING


def test_staging_goes_on_while_other_endpoints_are_served(world: World) -> None:
    world.serving()
    world.executor.held = True
    world.config("c2", Variant("A", "m2"))
    world.create("slow", "c2")
    world.settle()
    assert world.get("slow").state is EndpointState.BUILDING
    world.executor.run()
    world.settle()
    assert world.get("slow").state is EndpointState.SERVING


def test_an_update_answers_with_the_old_workers_until_the_new_ones_are_ready(world: World) -> None:
    world.serving()
    old = world.folders()
    world.pool.behaviour["i2"] = STARTING
    world.config("c2", Variant("A", "m2"))
    updating = world.service.update("flowers", "c2")
    assert (updating.state, updating.config_name, updating.target_config) == (EndpointState.UPDATING, "c1", "c2")
    world.settle()
    assert world.folders() == old
    (new,) = [folder for folder in world.pool.alive() if folder not in old]
    world.pool.states[new] = WorkerObservation("ready")
    world.settle()
    assert world.folders() == [new]
    assert world.pool.alive() == [new]
    assert (world.get().state, world.get().config_name, world.get().target) == (EndpointState.SERVING, "c2", None)


def test_a_worker_is_asked_to_leave_only_when_the_front_no_longer_knows_it(world: World) -> None:
    world.serving()
    (old,) = world.folders()
    world.config("c2", Variant("A", "m2"))
    world.service.update("flowers", "c2")
    known_when_stopped: list[bool] = []
    stop = world.pool.stop

    def watched(folder, grace):
        if folder == old:
            known_when_stopped.append(str(folder / "socket") in str(world.routes.tables[-1]))
        stop(folder, grace)

    world.pool.stop = watched  # type: ignore[method-assign]
    world.settle()
    assert known_when_stopped == [False]
    assert dict(world.pool.stopped)[old] == 65


def test_a_failing_new_configuration_rolls_back_and_says_why(world: World) -> None:
    world.serving()
    old = world.folders()
    world.pool.behaviour["i2"] = WorkerObservation("dead", "ImportError: nothing")
    world.pool.lingers = True
    world.config("c2", Variant("A", "m1"), Variant("B", "m2"))
    world.service.update("flowers", "c2")
    world.settle()
    assert world.get().state is EndpointState.ROLLING_BACK
    world.pool.lingers = False
    world.settle()
    endpoint = world.get()
    assert (endpoint.state, endpoint.config_name, endpoint.target) == (EndpointState.SERVING, "c1", None)
    assert "ImportError: nothing" in (endpoint.failure_reason or "")
    assert world.folders() == old
    assert world.pool.alive() == old
    world.config("c3", Variant("A", "m3"))
    world.service.update("flowers", "c3")
    world.settle()
    assert (world.get().config_name, world.get().failure_reason) == ("c3", None)


def test_weights_and_counts_change_without_touching_what_stays(world: World) -> None:
    world.serving(Variant("A", "m1", instance_count=2), Variant("B", "m2"))
    (keep, drop), (other,) = world.folders(), world.folders(variant="B")
    world.service.update_weights("flowers", {"A": (0.25, 1), "B": (None, 3)})
    world.settle()
    assert world.get().state is EndpointState.SERVING
    served = world.routes.of("flowers")
    assert served["A"] == (0.25, (str(keep / "socket"),))
    assert (served["B"][0], len(served["B"][1])) == (1.0, 3)
    assert str(other / "socket") in served["B"][1]
    assert drop not in world.pool.alive()
    counts = {status.name: (status.current_count, status.desired_count) for status in world.get().variants}
    assert counts == {"A": (1, 1), "B": (3, 3)}


def test_desired_weights_show_before_they_are_current(world: World) -> None:
    world.serving()
    world.executor.held = True
    world.pool.behaviour["i1"] = STARTING
    updated = world.service.update_weights("flowers", {"A": (5.0, 2)})
    (status,) = updated.variants
    assert (status.current_weight, status.desired_weight, status.current_count, status.desired_count) == (1, 5, 1, 2)


def test_a_dead_worker_is_replaced_and_the_others_answer_meanwhile(world: World) -> None:
    world.serving(Variant("A", "m1", instance_count=2))
    dead, alive = world.folders()
    world.pool.die(dead)
    world.controller.step()
    assert world.folders() == [alive]
    world.settle()
    assert len(world.folders()) == 2
    assert dead not in world.folders()
    assert world.get().state is EndpointState.SERVING


def test_a_worker_that_keeps_dying_is_replaced_ever_more_slowly(world: World) -> None:
    world.serving()
    for _ in range(400):
        for folder in world.pool.alive():
            world.pool.die(folder)
        world.controller.step()
        world.clock.step(0.1)
    assert 4 <= len(world.pool.starts) <= 9
    world.clock.step(61)
    world.settle()
    assert len(world.folders()) == 1


def test_a_hung_worker_is_killed_and_replaced(world: World) -> None:
    world.serving()
    (hung,) = world.folders()
    world.service.report_hung(str(hung / "socket"))
    world.settle()
    assert (hung, 0.0) in world.pool.stopped
    (replacement,) = world.folders()
    assert replacement != hung
    world.service.report_hung(str(hung / "socket"))
    world.settle()
    assert world.folders() == [replacement]


def test_a_deleted_endpoint_leaves_nothing_behind(world: World) -> None:
    endpoint = world.serving(Variant("A", "m1", instance_count=2))
    world.pool.lingers = True
    world.service.delete("flowers")
    world.service.delete("flowers")
    world.settle()
    assert world.get().state is EndpointState.DELETING
    assert world.routes.of("flowers") == {}
    world.pool.lingers = False
    world.settle()
    with pytest.raises(NotFound):
        world.get()
    assert world.pool.alive() == []
    assert list(world.endpoints.iterdir()) == []
    assert world.table.workers(endpoint.id) == ()
    assert all(route.endpoint != "flowers" for route in world.routes.tables[-1])
    world.create()
    world.settle()
    assert world.get().state is EndpointState.SERVING


def test_deletion_waits_for_the_staging_that_is_under_way(world: World) -> None:
    world.config("c1")
    world.executor.held = True
    world.create()
    world.controller.step()
    world.service.delete("flowers")
    world.settle()
    assert world.get().state is EndpointState.DELETING
    world.executor.run()
    world.settle()
    assert list(world.endpoints.iterdir()) == []


def test_a_new_controller_adopts_workers_that_live(world: World) -> None:
    world.serving(Variant("A", "m1", instance_count=2))
    before = world.folders()
    world.controller = world.new_controller("second")
    world.settle()
    assert world.folders() == before
    assert len(world.pool.starts) == 2


def test_after_a_restart_of_the_machine_new_workers_take_over_from_what_was_staged(world: World) -> None:
    world.serving()
    (before,) = world.folders()
    world.inputs.missing.add("s3://bucket/1.tar.gz")
    world.pool.die(before)
    world.clock.step(10)
    world.controller = world.new_controller("second")
    world.settle()
    (after,) = world.folders()
    assert after != before
    assert world.get().state is EndpointState.SERVING


@pytest.mark.parametrize("crash_after", range(1, 9))
def test_a_controller_that_dies_mid_update_is_followed_by_one_that_finishes(world: World, crash_after: int) -> None:
    """The controller crashes at each of its writes and effects in turn; the next one ends in the same place."""
    world.serving(Variant("A", "m1", instance_count=2))
    world.config("c2", Variant("A", "m2", instance_count=2))
    world.service.update("flowers", "c2")
    left = crash_after

    class Crash(BaseException):
        pass

    def fused(act):
        def call(*arguments, **named):
            nonlocal left
            result = act(*arguments, **named)
            left -= 1
            if left == 0:
                raise Crash
            return result

        return call

    real = world.table.write, world.pool.start, world.pool.stop, world.pool.remove, world.routes.publish
    names = [(world.table, "write"), (world.pool, "start"), (world.pool, "stop"), (world.pool, "remove")]
    names.append((world.routes, "publish"))  # type: ignore[arg-type]
    for (holder, name), act in zip(names, real, strict=True):
        setattr(holder, name, fused(act))
    with contextlib.suppress(Crash):
        world.settle()
    for (holder, name), act in zip(names, real, strict=True):
        setattr(holder, name, act)
    world.clock.step(10)
    world.controller = world.new_controller("second")
    world.settle()
    assert (world.get().state, world.get().config_name) == (EndpointState.SERVING, "c2")
    assert sorted(world.folders()) == sorted(world.pool.alive())
    assert len(world.folders()) == 2
    live = [worker for worker in world.table.workers() if worker.state is not WorkerState.GONE]
    assert len(live) == 2


def test_a_controller_that_lost_its_lease_writes_nothing(world: World) -> None:
    endpoint = world.serving()
    lease = world.table.claim(endpoint.id, "first", 3)
    assert lease is not None
    assert world.table.claim(endpoint.id, "second", 3) is None
    world.clock.step(3.1)
    with pytest.raises(LeaseLost):
        world.table.write(endpoint, (), lease)
    taken = world.table.claim(endpoint.id, "second", 3)
    assert taken is not None and taken.token > lease.token
    with pytest.raises(LeaseLost):
        world.table.write(world.get(), (), dataclasses.replace(lease, until=taken.until))
    assert world.table.write(world.get(), (), taken).revision == endpoint.revision + 1


def test_a_write_on_an_old_revision_changes_nothing(world: World) -> None:
    seen = world.serving()
    world.service.update_weights("flowers", {"A": (2.0, None)})
    with pytest.raises(Stale):
        world.table.write(dataclasses.replace(seen, state=EndpointState.DELETING))
    assert world.get().state is EndpointState.UPDATING


def test_what_no_endpoint_owns_is_cleared_away(world: World) -> None:
    stranger = world.endpoints / "ghost" / "w1"
    stranger.mkdir(parents=True)
    (stranger / "worker.json").write_text("{}")
    world.pool.states[stranger] = WorkerObservation("ready")
    world.settle(2)
    assert (stranger, 0.0) in world.pool.stopped
    world.clock.step(61)
    world.settle(2)
    assert not stranger.parent.exists()


def test_old_models_are_cleared_away_and_logs_of_gone_workers_kept(world: World) -> None:
    endpoint = world.serving()
    (old,) = world.folders()
    world.config("c2", Variant("A", "m2"))
    world.service.update("flowers", "c2")
    world.settle()
    world.clock.step(61)
    world.settle(2)
    assert [path.name for path in (world.endpoints / endpoint.id / "models").iterdir()] == ["2-0"]
    assert (world.endpoints / endpoint.id / "logs" / old.name).read_text() == "1000\thello\n"
    assert not old.exists()


def test_a_clean_stop_ends_the_workers_and_the_next_start_brings_others(world: World) -> None:
    world.serving(Variant("A", "m1", instance_count=2))
    before = world.folders()
    world.controller.close(pause=world.clock.step)
    assert world.pool.alive() == []
    world.clock.step(10)
    world.controller = world.new_controller("second")
    world.settle()
    assert len(world.folders()) == 2
    assert not set(world.folders()) & set(before)


def test_a_clean_stop_waits_no_longer_than_it_must(world: World) -> None:
    world.serving()
    world.pool.lingers = True
    began = world.clock.now()
    world.controller.close(grace=5, pause=world.clock.step)
    assert 10 <= world.clock.now() - began < 11


def test_an_endpoint_that_nobody_foresaw_the_trouble_of_rests_and_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tolerated += (RuntimeError,)
    bad = world.serving()
    (place,) = world.folders()
    world.pool.die(place)
    looks: list[float] = []
    observe = world.pool.observe

    def failing(folder: Path) -> WorkerObservation:
        if folder.parent.name == bad.id:
            looks.append(world.clock.monotonic())
            raise RuntimeError("a record that no one can read")
        return observe(folder)

    monkeypatch.setattr(world.pool, "observe", failing)
    world.create("other")
    world.settle()
    assert world.get("other").state is EndpointState.SERVING
    assert [name for name, _error in world.errors] == ["flowers"] * len(looks)
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(looks))
    monkeypatch.undo()
    world.clock.step(1)
    world.settle()
    assert [observe(folder).state for folder in world.folders()] == ["ready"]
    assert world.folders() != [place]
