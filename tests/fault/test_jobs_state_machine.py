"""No schedule of crashes, pauses and time makes two controllers lose a job or run it twice at once."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fault.jobs_machine import JobsMachine

SETTINGS = settings(
    max_examples=500,
    stateful_step_count=25,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a failing schedule is printed as found; to shrink it takes minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_two_controllers_keep_the_laws_under_every_schedule() -> None:
    run_state_machine_as_test(JobsMachine, settings=SETTINGS)
