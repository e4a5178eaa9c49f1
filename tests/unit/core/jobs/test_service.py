"""What doors see: names, look-up, listing, logs, metrics, waiting."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modelyard.base.errors import AlreadyExists, Conflict, NotFound
from modelyard.base.paging import Listing
from modelyard.core.jobs.logs import Window
from modelyard.core.jobs.model import JobQuery, NewJob, Resources
from modelyard.testing.fake_runner import Script
from tests.unit.core.jobs.world import SPEC, World


def foreign(display_name: str) -> NewJob:
    return NewJob("training", "ml_models", "us-east-1", SPEC, {"a": [1, None]}, display_name=display_name)


class TestNames:
    def test_a_job_is_found_by_id_and_by_its_exact_name(self, world: World) -> None:
        job = world.create("Fit")
        assert world.service.get(job.id) == world.service.get("Fit") == job
        for name in ("fit", "nothing", "00000000-0000-4000-8000-000000000000"):
            with pytest.raises(NotFound):
                world.service.get(name)

    def test_names_are_of_a_kind_and_whoever_asks_for_any_gets_the_newest(self, world: World) -> None:
        training = world.create("Fit")
        world.clock.step(1)
        other = world.service.create(replace(foreign("x"), kind="processing", name="Fit"))
        assert world.service.get("Fit") == training
        assert world.service.get("Fit", "processing") == world.service.get(other.id, "processing") == other
        with pytest.raises(NotFound):
            world.service.get(other.id)
        assert world.service.get(other.id, None) == world.service.get("Fit", None) == other
        assert world.service.get(training.id, None) == training
        with pytest.raises(NotFound):
            world.service.get("fit", None)

    def test_a_job_without_a_name_gets_one_that_stays(self, world: World) -> None:
        job = world.service.create(foreign("Ridge regression"))
        assert job.name == f"Ridge-regression-{job.id[:8]}"
        assert world.service.get(job.name).document == {"a": [1, None]}

    def test_a_taken_name_is_refused_whatever_its_case(self, world: World) -> None:
        world.create("Fit")
        with pytest.raises(AlreadyExists):
            world.create("fIT")

    def test_the_whole_spec_comes_back(self, world: World) -> None:
        job = world.create("fit", hyperparameters={"a": "1"}, entrypoint=("/bin/bash",), retries=3, max_wait=9.5)
        assert world.get("fit").spec == job.spec


class TestDelete:
    def test_an_ended_job_goes_with_all_its_files(self, world: World) -> None:
        job = world.create("fit")
        world.run(world.controller())
        world.service.delete("fit")
        assert not world.folders.job(job.id).exists()
        with pytest.raises(NotFound):
            world.service.get("fit")
        world.names.clear()
        world.create("fit")

    def test_a_job_that_has_not_ended_stays(self, world: World) -> None:
        world.create("fit")
        with pytest.raises(Conflict):
            world.service.delete("fit")

    def test_what_a_job_closed_with_its_own_modes_goes_too(self, world: World) -> None:
        job = world.create("fit")
        world.run(world.controller())
        closed = world.folders.attempt(job.id, 1) / "ml" / "closed"
        closed.mkdir(parents=True)
        (closed / "file").touch()
        closed.chmod(0)
        world.service.delete("fit")
        assert not world.folders.job(job.id).exists()


class TestLogs:
    def test_every_hosts_stream_exists_from_the_creation_on(self, world: World) -> None:
        job = world.create("fit", resources=Resources("t", 2))
        streams = world.service.log_streams(job)
        assert [stream.name for stream in streams] == [f"fit/algo-{n}-{int(job.created)}" for n in (1, 2)]
        assert world.service.read_log(job, streams[1].name).lines == ()
        world.run(world.controller())
        assert [stream.name for stream in world.service.log_streams(job)] == [stream.name for stream in streams]

    def test_lines_are_read_from_the_attempts_file(self, world: World) -> None:
        job = world.create("fit")
        world.run(world.controller())
        log = world.folders.attempt(job.id, 1) / "log"
        (log / "algo-1.log").write_text("5\tone\n7\ttwo\n")
        (stream,) = world.service.log_streams(job)
        assert (stream.first_at, stream.last_at, stream.size) == (5, 7, 12)
        page = world.service.read_log(job, stream.name)
        assert [(line.at, line.text, line.offset) for line in page.lines] == [(5, "one", 0), (7, "two", 6)]
        assert world.service.read_log(job, stream.name, Window(page.end)).lines == ()

    def test_a_second_attempt_has_streams_of_its_own(self, world: World) -> None:
        world.scripts["fit/1"] = Script(lost=True)
        job = world.create("fit", retries=1)
        world.run(world.controller())
        assert len({stream.name for stream in world.service.log_streams(job)}) == 2

    def test_an_unknown_stream_is_not_found(self, world: World) -> None:
        job = world.create("fit")
        with pytest.raises(NotFound):
            world.service.read_log(job, "fit/algo-9-1")


class TestMetrics:
    def test_of_a_running_job_they_come_from_its_files_checked(self, world: World) -> None:
        world.create("fit", Script(runs_for=100))
        world.controller().step()
        job = world.get("fit")
        left = world.folders.attempt(job.id, 1) / "out" / "algo-1"
        left.mkdir(parents=True)
        lines = [json.dumps({"name": "loss", "value": value, "at": value}) for value in (2, 1)]
        no_text = [json.dumps({"name": "\ud800", "value": 1, "at": 1})]
        (left / "metrics.jsonl").write_text(
            "\n".join([*lines, "nonsense", '{"name":"x","value":1e999,"at":1}', *no_text, '{"na'])
        )
        assert [point.value for point in world.service.metrics(job)] == [1, 2]
        assert world.service.metrics(job, "other") == ()

    def test_a_link_is_not_followed(self, world: World) -> None:
        world.create("fit", Script(runs_for=100))
        world.controller().step()
        job = world.get("fit")
        left = world.folders.attempt(job.id, 1) / "out" / "algo-1"
        left.mkdir(parents=True)
        (left / "secret").write_text('{"name":"x","value":1,"at":1}\n')
        (left / "metrics.jsonl").symlink_to(left / "secret")
        assert world.service.metrics(job) == ()


def test_jobs_are_listed_by_door_and_region(world: World) -> None:
    world.create("fit")
    job = world.service.create(foreign("Ridge"))
    assert [one.id for one in world.service.list(JobQuery(door="ml_models")).items] == [job.id]
    assert world.service.list(JobQuery(region="eu-west-1")).items == ()
    assert len(world.service.list(JobQuery(Listing(limit=10), "training")).items) == 2
