"""All transitions of a job, in one table: which state may follow which, and which phases a state has.

Owns what is legal. Refuses to know why a transition happens (outcomes.py) and who may write it (the lease,
table.py). States as in the house's words; phases are SageMaker's secondary statuses
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SecondaryStatusTransition.html).
"""

from __future__ import annotations

from modelyard.base.errors import ModelyardError
from modelyard.core.jobs.model import JobState, Phase

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.STARTING, JobState.STOPPING, JobState.STOPPED, JobState.FAILED}),
    JobState.STARTING: frozenset({JobState.RUNNING, JobState.STOPPING, JobState.STOPPED, JobState.FAILED}),
    JobState.RUNNING: frozenset(
        {JobState.STARTING, JobState.STOPPING, JobState.STOPPED, JobState.SUCCEEDED, JobState.FAILED}
    ),
    JobState.STOPPING: frozenset({JobState.STOPPED, JobState.FAILED}),
    JobState.STOPPED: frozenset(),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
}

PHASES: dict[JobState, frozenset[Phase]] = {
    JobState.QUEUED: frozenset({Phase.STARTING}),
    JobState.STARTING: frozenset({Phase.STARTING, Phase.PENDING, Phase.DOWNLOADING, Phase.INTERRUPTED}),
    JobState.RUNNING: frozenset({Phase.TRAINING, Phase.UPLOADING}),
    JobState.STOPPING: frozenset({Phase.STOPPING}),
    JobState.STOPPED: frozenset({Phase.STOPPED, Phase.MAX_RUNTIME_EXCEEDED, Phase.MAX_WAIT_TIME_EXCEEDED}),
    JobState.SUCCEEDED: frozenset({Phase.COMPLETED}),
    JobState.FAILED: frozenset({Phase.FAILED}),
}

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
ACTIVE = frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING})


class IllegalTransition(ModelyardError):
    """Job {name!r} cannot go from {before} to {after} in phase {phase}; this is a fault of Modelyard."""

    code = "internal"


def check(name: str, before: JobState, after: JobState, phase: Phase) -> None:
    """Raises IllegalTransition unless ``after`` may follow ``before`` and has ``phase``.

    Staying in a state that is not terminal is legal: the phase moves inside it.

    >>> check("fit", JobState.RUNNING, JobState.SUCCEEDED, Phase.COMPLETED)
    >>> check("fit", JobState.SUCCEEDED, JobState.FAILED, Phase.FAILED)
    Traceback (most recent call last):
        ...
    modelyard.core.jobs.states.IllegalTransition: Job 'fit' cannot go from succeeded to failed in phase Failed; ...
    """
    stays = before == after and before not in TERMINAL
    if (stays or after in TRANSITIONS[before]) and phase in PHASES[after]:
        return
    raise IllegalTransition(name=name, before=before, after=after, phase=phase)
