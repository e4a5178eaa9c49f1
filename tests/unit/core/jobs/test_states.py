"""The one table of transitions, walked as a state machine."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.jobs.model import JobState, Phase
from modelyard.core.jobs.states import ACTIVE, PHASES, TERMINAL, TRANSITIONS, IllegalTransition, check


def test_every_state_and_every_phase_has_its_row() -> None:
    assert set(TRANSITIONS) == set(PHASES) == set(JobState)
    assert set().union(*PHASES.values()) == set(Phase)


def test_an_ended_job_is_stopped_succeeded_or_failed() -> None:
    assert {JobState.STOPPED, JobState.SUCCEEDED, JobState.FAILED} == TERMINAL
    assert not ACTIVE & TERMINAL


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_a_transition_is_legal_exactly_when_the_table_says_so(before: JobState, after: JobState) -> None:
    legal = after in TRANSITIONS[before] or (before == after and before not in TERMINAL)
    for phase in Phase:
        if legal and phase in PHASES[after]:
            check("job", before, after, phase)
        else:
            with pytest.raises(IllegalTransition):
                check("job", before, after, phase)


@given(st.lists(st.sampled_from(list(JobState)), max_size=30))
def test_no_walk_leaves_a_terminal_state(walk: list[JobState]) -> None:
    state, ends = JobState.QUEUED, 0
    for wanted in walk:
        if wanted == state or wanted not in TRANSITIONS[state]:
            continue
        ends += wanted in TERMINAL
        state = wanted
    assert ends <= 1


def test_from_every_state_an_end_can_be_reached() -> None:
    reached = set(TERMINAL)
    for _ in JobState:
        reached |= {state for state, following in TRANSITIONS.items() if following & reached}
    assert reached == set(JobState)


def test_a_stop_can_always_be_asked_for_until_the_end() -> None:
    assert {state for state in JobState if JobState.STOPPING in TRANSITIONS[state]} == {
        JobState.QUEUED,
        JobState.STARTING,
        JobState.RUNNING,
    }
