"""Real processes under kill -9: controllers over one SQLite file, and the supervisors of attempts."""

from __future__ import annotations

import itertools
import math
import os
import random
import signal
import statistics
import time
from pathlib import Path

import pytest

from modelyard.core.jobs.model import Job, JobState
from modelyard.core.jobs.states import TERMINAL
from tests.fault.jobs_processes import Death, Yard, witness, yard

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

CONTROLLER_KILLS = 100
SUPERVISOR_KILLS = 20
TAKEOVER = 6.0
DEATH = 3.0
ORPHAN = 5.0


def test_no_kill_loses_a_job_or_runs_it_twice(tmp_path: Path) -> None:
    """Each killed controller held a job, which another had taken over in time; each killed supervisor ran one."""
    dice = random.Random(20261121)
    killed: set[str] = set()
    jobs: list[Job] = []
    deaths: list[Death] = []
    clean: set[str] = set()
    with yard(tmp_path, jobs=40) as place:
        place.start_controller()
        place.start_controller()
        while len(deaths) < CONTROLLER_KILLS or len(killed) < SUPERVISOR_KILLS:
            _keep_busy(place, jobs, dice)
            time.sleep(dice.uniform(0.0, 0.3))
            if len(deaths) < CONTROLLER_KILLS and (busy := [one for one in place.controllers if place.held(one)]):
                death = place.kill_controller(dice.choice(busy))
                place.start_controller()
                deaths += [death] if death.held else []
            if len(killed) < SUPERVISOR_KILLS and (len(deaths) % 3 == 0 or len(deaths) == CONTROLLER_KILLS):
                killed |= _kill_a_supervisor(place, dice, killed)
            _check_orphans(place, jobs, clean)
        place.wait(lambda: all(place.ended(job) for job in jobs), 300, "the end of every job")
        for job in jobs:
            _check(place, place.service.get(job.id), job.id in killed)
        place.wait(lambda: not place.supervisors(), ORPHAN, "the end of every supervisor")
        took = [seconds for death in deaths for seconds in place.takeovers(death)]
        print(
            f"{len(jobs)} jobs, {len(deaths)} controllers and {len(killed)} supervisors killed; {len(clean)} looked at"
        )
        print(f"{len(took)} takeovers took {statistics.median(took):.1f} s, at most {max(took):.1f} s")
        assert len(took) >= len(deaths) and max(took) <= TAKEOVER
        assert len(clean) >= len(jobs) / 2


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
    """Two new jobs a turn, so that a controller which has just begun finds some, and no more than the machine bears."""
    if sum(not place.ended(job) for job in jobs[-40:]) < 20:
        for _ in range(2):
            jobs.append(place.create(f"job-{len(jobs)}", witness(dice.randrange(1, 30)), retries=dice.randrange(2)))


def _check_orphans(place: Yard, jobs: list[Job], clean: set[str]) -> None:
    """Of no job that ended so long ago does anything live."""
    for job in jobs:
        if job.id not in clean and (place.service.get(job.id).ended or math.inf) < time.time() - ORPHAN:
            assert not place.orphans_of(job), job
            clean.add(job.id)


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
