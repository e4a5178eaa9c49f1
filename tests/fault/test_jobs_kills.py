"""Real processes under kill -9: controllers over one SQLite file, and the supervisors of attempts."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from modelyard.core.jobs.model import Job, JobState
from modelyard.core.jobs.states import TERMINAL
from tests.fault.jobs_processes import Yard, witness, yard

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

CONTROLLER_KILLS = 100
SUPERVISOR_KILLS = 20
TAKEOVER = 6.0
DEATH = 3.0


def test_no_kill_loses_a_job_or_runs_it_twice(tmp_path: Path) -> None:
    dice = random.Random(20261121)
    killed: set[str] = set()
    jobs: list[Job] = []
    with yard(tmp_path) as place:
        place.start_controller()
        place.start_controller()
        kills = 0
        while kills < CONTROLLER_KILLS or len(killed) < SUPERVISOR_KILLS:
            _keep_busy(place, jobs, dice)
            time.sleep(dice.uniform(0.0, 0.3))
            if kills < CONTROLLER_KILLS:
                place.kill_controller(dice.choice(place.controllers))
                place.start_controller()
                kills += 1
            if len(killed) < SUPERVISOR_KILLS and (kills % 3 == 0 or kills == CONTROLLER_KILLS):
                killed |= _kill_a_supervisor(place, dice, killed)
        place.wait(lambda: all(place.ended(job) for job in jobs), 300, "the end of every job")
        print(f"{len(jobs)} jobs, {kills} controllers and {len(killed)} supervisors killed")
        for job in jobs:
            _check(place, place.service.get(job.id), job.id in killed)
        place.wait(lambda: not place.supervisors(), 5, "the end of every supervisor")


def test_a_dead_controllers_job_is_taken_over_in_time(tmp_path: Path) -> None:
    with yard(tmp_path) as place:
        first = place.start_controller()
        job = place.create("fit", witness(400))
        place.wait(lambda: place.service.get(job.id).state == JobState.RUNNING, 30, "the start")
        second = place.start_controller()
        time.sleep(2)
        place.kill_controller(first)
        place.service.stop(job.id)
        took = place.wait(lambda: place.ended(job), 30, "the end")
        print(f"a job of a killed controller was taken over, stopped and ended within {took:.1f} s")
        assert took <= TAKEOVER + 1.0 + DEATH
        assert place.service.get(job.id).state == JobState.STOPPED and second.is_alive()


def test_a_stopped_job_is_dead_soon_after_its_grace_whatever_it_does(tmp_path: Path) -> None:
    with yard(tmp_path) as place:
        place.start_controller()
        job = place.create("deaf", witness(2000, deaf=True), grace=1.0)
        place.wait(lambda: bool(place.lives(job)), 30, "the start")
        assert place.processes_of(job)
        place.service.stop(job.id)
        took = place.wait(lambda: not place.processes_of(job), 30, "the death")
        assert 0.9 <= took <= 1.0 + DEATH
        place.wait(lambda: place.ended(job), 5, "the end")
        assert place.service.get(job.id).state == JobState.STOPPED


def test_a_running_job_outlives_every_controller_and_ends_once(tmp_path: Path) -> None:
    with yard(tmp_path) as place:
        first = place.start_controller()
        job = place.create("fit", witness(60))
        place.wait(lambda: bool(place.lives(job)), 30, "the start")
        place.kill_controller(first)
        time.sleep(4)
        assert not place.ended(job)
        place.start_controller()
        place.wait(lambda: place.ended(job), 30, "the end")
        _check(place, place.service.get(job.id), killed=False)


def _keep_busy(place: Yard, jobs: list[Job], dice: random.Random) -> None:
    open_jobs = sum(not place.ended(job) for job in jobs[-12:])
    if open_jobs < 8:
        name = f"job-{len(jobs)}"
        jobs.append(place.create(name, witness(dice.randrange(1, 30)), retries=dice.randrange(2)))


def _kill_a_supervisor(place: Yard, dice: random.Random, killed: set[str]) -> set[str]:
    """Of a job that none was killed of yet, so that each kill is a loss of its own."""
    living = [(job, pid) for job, pid in place.supervisors() if job.id not in killed]
    if not living:
        return set()
    job, pid = dice.choice(living)
    os.kill(pid, signal.SIGKILL)
    return {job.id}


def _check(place: Yard, job: Job, killed: bool) -> None:
    ends = [one for one in job.transitions if one.phase in ("Completed", "Failed", "Stopped")]
    lives = place.lives(job)
    assert job.state in TERMINAL and len(ends) == 1, job
    assert all(begins == 1 for begins, _first, _last in lives), (job, lives)
    assert len(lives) <= 1 + job.spec.retries, (job, lives)
    assert all(ended <= began for (_, _, ended), (_, began, _) in itertools.pairwise(lives)), (job, lives)
    assert not place.processes_of(job)
    if not killed:
        assert job.state == JobState.SUCCEEDED and len(lives) == 1, (job, lives)
    elif job.state == JobState.FAILED:
        assert (job.failure_reason or "").startswith("InternalServerError: the supervisor")
