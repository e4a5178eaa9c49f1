"""The life of a job under one controller: states, phases, reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.base.errors import AlreadyExists, Conflict, Invalid, NotFound
from modelyard.core.jobs.model import Job, JobState, Phase, Resources
from modelyard.core.jobs.ports import Collected, Observation
from modelyard.testing.fake_jobs import FakeStaging, HeldExecutor, points
from modelyard.testing.fake_runner import FakeRunner, Script
from tests.unit.core.jobs.world import World


def test_a_job_passes_through_the_phases_in_order(world: World) -> None:
    world.create("fit")
    world.run(world.controller())
    job = world.get("fit")
    assert job.state == JobState.SUCCEEDED
    assert world.phases("fit") == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(entry.message and entry.ended is not None for entry in job.transitions)
    assert job.model_artifact == "s3://bucket/out/model.tar.gz" and world.staging.failed == []
    assert job.started is not None and job.ended is not None and job.exit_code == 0


def test_what_the_attempt_held_is_freed_and_its_credentials_end(world: World) -> None:
    job = world.create("fit")
    world.run(world.controller())
    assert world.sessions.issued == [("AKIA1", world.table.attempts(job.id)[0].id)]
    assert world.sessions.valid == set()
    assert world.runner.removed == [world.folders.attempt(job.id, 1)]
    assert world.table.untidy(10, world.clock.now() + 1) == ()


def test_final_metrics_are_the_last_of_each_name(world: World) -> None:
    world.staging.left = Collected(None, None, points(3.0, 1.0) + points(0.5, name="accuracy"))
    world.create("fit")
    world.run(world.controller())
    job = world.get("fit")
    assert {point.name: point.value for point in job.final_metrics} == {"loss": 1.0, "accuracy": 0.5}
    assert [point.value for point in world.service.metrics(job, "loss")] == [3.0, 1.0]


def test_an_exit_code_fails_the_job_with_the_failure_file_as_reason(world: World) -> None:
    world.staging.left = Collected("s3://bucket/model.tar.gz", "x" * 2000)
    world.create("fit", Script(exit_code=1))
    world.run(world.controller())
    job = world.get("fit")
    assert (job.state, job.phase, job.exit_code) == (JobState.FAILED, Phase.FAILED, 1)
    assert job.failure_reason == "x" * 1024
    assert job.model_artifact is None and world.staging.failed == [job.id]
    assert world.phases("fit")[-2:] == ["Uploading", "Failed"]


def test_without_a_failure_file_the_reason_quotes_the_last_line_and_the_exit_code(world: World) -> None:
    world.staging.left = Collected()
    job = world.create("fit", Script(exit_code=7))
    controller = world.controller()
    controller.step()
    log = world.folders.attempt(job.id, 1) / "log" / "algo-1.log"
    log.write_text("1700000000000\tTraceback:\n1700000000001\tValueError: boom\n")
    world.run(controller)
    assert world.get("fit").failure_reason == "AlgorithmError: ValueError: boom, exit code: 7"


def test_too_little_memory_is_named(world: World) -> None:
    world.create("fit", Script(exit_code=137, reason="memory"))
    world.run(world.controller())
    reason = world.get("fit").failure_reason or ""
    assert reason.startswith("AlgorithmError: OutOfMemory") and "ml.m5.large" in reason and "1 GiB" in reason
    assert reason.endswith("less data at a time.")


def test_a_refused_sandbox_fails_the_job_and_says_why(world: World) -> None:
    world.create("fit", Script(runs_for=0, reason="refused", exit_code=1, message="no user namespaces"))
    world.run(world.controller())
    job = world.get("fit")
    assert job.state == JobState.FAILED and "no user namespaces" in (job.failure_reason or "")
    assert world.staging.collected == []


def test_an_image_that_nothing_answers_for_fails_at_once(world: World) -> None:
    job = world.create("fit", image="unknown")
    assert job.state == JobState.FAILED and job.ended is not None
    assert "these would do: sklearn, xgboost" in (job.failure_reason or "")
    assert world.phases("fit") == ["Starting", "Failed"]


def test_a_fault_of_the_inputs_fails_the_job_with_its_message(world: World) -> None:
    world.staging.fault = Invalid(what='No S3 objects found under S3 URL "s3://b/x"')
    world.create("fit")
    world.run(world.controller())
    job = world.get("fit")
    assert job.failure_reason == 'ClientError: No S3 objects found under S3 URL "s3://b/x"'
    assert world.phases("fit") == ["Starting", "Downloading", "Failed"]
    assert world.runner.begun == {}


def test_results_that_cannot_be_stored_fail_the_job(world: World) -> None:
    world.staging.collect_fault = NotFound(kind="bucket", name="gone")
    world.create("fit")
    world.run(world.controller())
    job = world.get("fit")
    assert job.state == JobState.FAILED and job.failure_reason == "ClientError: bucket 'gone' does not exist."


def test_a_full_disk_fails_the_job_before_anything_is_staged(world: World) -> None:
    world.create("fit")
    world.run(world.controller(work=world.work(disk_reserve=1 << 62)))
    job = world.get("fit")
    assert job.state == JobState.FAILED and "free some space" in (job.failure_reason or "")
    assert world.staging.staged == []


def test_a_deadline_stops_the_job_and_keeps_what_it_made(world: World) -> None:
    world.create("fit", Script(runs_for=1000), max_runtime=5)
    world.run(world.controller())
    job = world.get("fit")
    assert (job.state, job.phase) == (JobState.STOPPED, Phase.MAX_RUNTIME_EXCEEDED)
    assert job.model_artifact is not None and job.failure_reason is None


def test_the_time_to_wait_counts_from_creation(world: World) -> None:
    world.create("fit", Script(runs_for=1000), max_runtime=50, max_wait=5)
    world.run(world.controller())
    assert world.get("fit").phase == Phase.MAX_WAIT_TIME_EXCEEDED


def test_a_job_that_waited_too_long_never_starts(world: World) -> None:
    world.create("first", Script(runs_for=30), resources=Resources("big", cpus=4))
    world.create("second", max_wait=5)
    world.run(world.controller())
    job = world.get("second")
    assert (job.state, job.phase, job.attempt) == (JobState.STOPPED, Phase.MAX_WAIT_TIME_EXCEEDED, 0)
    assert len(world.runner.begun) == 1


def test_an_overdue_attempt_is_stopped_even_if_its_supervisor_forgot(world: World) -> None:
    job = world.create("fit", Script(runs_for=10_000), max_runtime=5, stop_grace=1)
    controller = world.controller()
    controller.step()
    world.runner.lives[world.folders.attempt(job.id, 1)].ends += 10_000
    world.run(controller)
    assert world.get("fit").state == JobState.STOPPED


class TestStop:
    def test_a_running_job_is_stopping_at_once_and_stopped_when_its_code_ended(self, world: World) -> None:
        world.create("fit", Script(runs_for=1000, stops_in=2))
        controller = world.controller()
        controller.step()
        assert world.service.stop("fit").state == JobState.STOPPING
        controller.step()
        assert world.get("fit").state == JobState.STOPPING
        world.run(controller)
        job = world.get("fit")
        assert (job.state, job.phase) == (JobState.STOPPED, Phase.STOPPED)
        assert job.model_artifact is not None
        assert world.phases("fit") == ["Starting", "Downloading", "Training", "Stopping", "Stopped"]

    def test_a_queued_job_never_starts(self, world: World) -> None:
        world.create("fit")
        world.service.stop("fit")
        world.run(world.controller())
        assert world.get("fit").state == JobState.STOPPED and world.runner.begun == {}

    def test_a_job_that_is_being_staged_does_not_start_afterwards(self, world: World) -> None:
        world.create("fit")
        executor = HeldExecutor()
        controller = world.controller(executor)
        controller.step()
        world.service.stop("fit")
        controller.step()
        assert world.get("fit").state == JobState.STOPPED
        executor.run()
        controller.step()
        assert world.runner.begun == {}

    def test_a_job_that_is_being_collected_is_stopped_not_succeeded(self, world: World) -> None:
        world.create("fit")
        executor = HeldExecutor()
        controller = world.controller(executor)
        controller.step()
        executor.run()
        controller.step()
        world.clock.step(1)
        controller.step()
        assert world.get("fit").phase == Phase.UPLOADING
        world.service.stop("fit")
        executor.run()
        controller.step()
        assert world.get("fit").state == JobState.STOPPED
        assert len(world.staging.collected) == 1

    def test_an_ended_job_cannot_be_stopped(self, world: World) -> None:
        world.create("fit")
        world.run(world.controller())
        with pytest.raises(Conflict):
            world.service.stop("fit")

    def test_twice_is_once(self, world: World) -> None:
        world.create("fit", Script(runs_for=100))
        controller = world.controller()
        controller.step()
        assert world.service.stop("fit") == world.service.stop("fit")


class TestLoss:
    def test_a_lost_supervisor_fails_a_job_without_retries(self, world: World) -> None:
        world.create("fit", Script(lost=True))
        world.run(world.controller())
        job = world.get("fit")
        assert job.state == JobState.FAILED and (job.failure_reason or "").startswith("InternalServerError")
        assert list(world.runner.begun.values()) == [1]

    def test_with_retries_it_is_interrupted_and_begins_again(self, world: World) -> None:
        world.scripts["fit/1"] = Script(lost=True)
        world.create("fit", retries=1)
        world.run(world.controller())
        job = world.get("fit")
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)
        assert world.phases("fit") == [
            "Starting",
            "Downloading",
            "Training",
            "Interrupted",
            "Downloading",
            "Training",
            "Uploading",
            "Completed",
        ]
        assert world.runner.doubles == []

    def test_retries_are_not_for_errors_of_the_code(self, world: World) -> None:
        world.create("fit", Script(exit_code=1), retries=5)
        world.run(world.controller())
        assert world.get("fit").attempt == 1

    def test_retries_run_out(self, world: World) -> None:
        world.create("fit", Script(lost=True), retries=2)
        world.run(world.controller())
        assert world.get("fit").state == JobState.FAILED and world.get("fit").attempt == 3

    def test_a_lost_supervisor_of_a_stopping_job_stops_it(self, world: World) -> None:
        job = world.create("fit", Script(runs_for=100, stops_in=100))
        controller = world.controller()
        controller.step()
        world.service.stop("fit")
        controller.step()
        world.runner.kill_supervisor(world.folders.attempt(job.id, 1))
        controller.step()
        assert world.get("fit").state == JobState.STOPPED


class TestTwoControllers:
    def test_a_running_attempt_is_adopted_after_the_lease_and_ends_once(self, world: World) -> None:
        world.create("fit", Script(runs_for=20))
        world.controller().step()
        second = world.controller()
        world.clock.step(2.9)
        second.step()
        assert second._held == {}
        world.clock.step(0.2)
        second.step()
        assert len(second._held) == 1
        world.run(second)
        assert world.get("fit").state == JobState.SUCCEEDED and world.get("fit").attempt == 1

    def test_a_lease_that_is_let_go_is_taken_at_once(self, world: World) -> None:
        world.create("fit", Script(runs_for=20))
        first, second = world.controller(), world.controller()
        first.step()
        first.close()
        second.step()
        assert len(second._held) == 1

    def test_an_attempt_that_was_being_staged_is_sealed_and_made_anew(self, world: World) -> None:
        job = world.create("fit")
        slow = HeldExecutor()
        first, second = world.controller(slow), world.controller()
        first.step()
        before = world.service.log_streams(job)
        world.clock.step(3.1)
        world.run(second)
        slow.run()
        first.step()
        after = world.get("fit")
        assert (after.state, after.attempt) == (JobState.SUCCEEDED, 2)
        assert list(world.runner.begun.values()) == [1]
        assert [stream.name for stream in world.service.log_streams(after)] == [stream.name for stream in before]

    def test_a_controller_whose_pause_nobody_used_goes_on(self, world: World) -> None:
        world.create("fit", Script(runs_for=20))
        only = world.controller()
        only.step()
        world.clock.step(10)
        world.run(only)
        assert world.get("fit").attempt == 1 and world.get("fit").state == JobState.SUCCEEDED


class TestCapacity:
    def test_jobs_run_side_by_side_while_they_fit_in_order_of_arrival(self, world: World) -> None:
        for name in ("a", "b", "c"):
            world.create(name, Script(runs_for=10), resources=Resources("t", cpus=2))
        world.controller().step()
        assert [world.get(name).state for name in ("a", "b", "c")] == ["running", "running", "queued"]

    def test_a_job_larger_than_the_machine_runs_capped_and_alone(self, world: World) -> None:
        world.create("small", Script(runs_for=10))
        huge = world.create("huge", Script(runs_for=10), resources=Resources("t", 2, cpus=96, memory=1 << 40))
        world.create("late", Script(runs_for=1))
        controller = world.controller()
        controller.step()
        assert [world.get(name).state for name in ("small", "huge", "late")] == ["running", "queued", "queued"]
        world.clock.step(10)
        controller.step()
        controller.step()
        assert [world.get(name).state for name in ("small", "huge", "late")] == ["succeeded", "running", "queued"]
        life = world.runner.lives[world.folders.attempt(huge.id, 1)].attempt
        assert life is not None and (life.cpus, life.memory) == (2.0, 4 << 30)
        world.run(controller)
        assert world.get("late").state == JobState.SUCCEEDED

    def test_the_queue_survives_its_controller(self, world: World) -> None:
        for name in ("a", "b", "c"):
            world.create(name, Script(runs_for=1), resources=Resources("t", cpus=4))
        world.controller().step()
        world.clock.step(4)
        world.run(world.controller())
        starts = [world.get(name).started or 0 for name in ("a", "b", "c")]
        assert starts == sorted(starts) and len(set(starts)) == 3


class TestDrain:
    def test_running_jobs_are_stopped_and_queued_ones_wait_for_the_next_start(self, world: World) -> None:
        world.create("a", Script(runs_for=1000, stops_in=3), resources=Resources("t", cpus=4))
        world.create("b", Script(runs_for=1))
        controller = world.controller()
        controller.step()
        while not controller.drain():
            controller.step()
            world.clock.step(1)
        assert (world.get("a").state, world.get("b").state) == (JobState.STOPPED, JobState.QUEUED)
        world.run(world.controller())
        assert world.get("b").state == JobState.SUCCEEDED


class TestSweep:
    def test_what_a_dead_controller_did_not_free_is_freed_by_the_next(self, world: World) -> None:
        job = world.create("fit")
        dead = HeldExecutor()
        controller = world.controller(dead)
        controller.step()
        dead.run()
        controller.step()
        world.clock.step(2)
        controller.step()
        dead.run()
        controller.step()
        assert world.get("fit").state == JobState.SUCCEEDED and world.runner.removed == []
        world.clock.step(5.5)
        second = world.controller()
        second.step()
        world.clock.step(5.5)
        second.step()
        assert world.runner.removed == [world.folders.attempt(job.id, 1)]

    def test_the_folder_of_a_deleted_job_goes(self, world: World) -> None:
        left = world.folders.make("deleted", 1)
        controller = world.controller()
        world.clock.step(5.5)
        controller.step()
        assert not left.parent.exists()


def test_checkpoints_of_a_running_job_are_stored_meanwhile(world: World) -> None:
    world.create("fit", Script(runs_for=100), checkpoints="s3://bucket/checkpoints")
    world.run(world.controller(), seconds=130)
    assert 3 <= len(world.staging.synced) <= 5 and world.get("fit").state == JobState.SUCCEEDED


def test_one_jobs_trouble_does_not_hold_up_the_others(world: World) -> None:
    troubled = world.create("a", Script(runs_for=1))
    world.create("b", Script(runs_for=1))
    seen: list[str] = []

    class Troubled(FakeRunner):
        def observe(self, attempt_folder: Path) -> Observation:
            if troubled.id in str(attempt_folder) and self.clock.now() < start + 10:
                raise OSError("the disk answers nothing")
            return super().observe(attempt_folder)

    start = world.clock.now()
    runner = Troubled(world.clock, world.script)
    controller = world.controller(work=world.work(runner=runner), on_error=lambda name, error: seen.append(name))
    world.run(controller, seconds=5)
    assert world.get("b").state == JobState.SUCCEEDED and set(seen) == {"a"}
    world.run(controller)
    assert world.get("a").state == JobState.SUCCEEDED


def test_a_write_that_the_table_cannot_make_does_not_hold_up_the_others(world: World) -> None:
    troubled = world.create("a", Script(runs_for=1))
    world.create("b", Script(runs_for=1))
    seen: list[str] = []

    class Troubled(FakeStaging):
        def collect(self, job: Job, attempt_folder: Path, failed: bool = False) -> Collected:
            name = "no text: \ud800" if job.id == troubled.id else "loss"
            return Collected(metrics=points(1.0, name=name))

    controller = world.controller(work=world.work(staging=Troubled()), on_error=lambda name, error: seen.append(name))
    world.run(controller, seconds=10)
    assert world.get("b").state == JobState.SUCCEEDED and set(seen) == {"a"}


def test_names_are_unique_whatever_their_case(world: World) -> None:
    world.create("fit")
    with pytest.raises(AlreadyExists):
        world.create("FIT")
