"""What the end of an attempt means for its job: state, phase, message and reason, as pure functions.

Owns the words of FailureReason and StatusMessage, which follow SageMaker's
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html), and the policy of
retries: they answer the loss of a supervisor, never an error of the user's code. A job without ``retries``
whose supervisor was lost fails, for what its code did until then must not be done twice unasked.
"""

from __future__ import annotations

from modelyard.base.errors import ModelyardError, OutOfSpace
from modelyard.core.jobs.model import Job, JobState, Phase
from modelyard.core.jobs.ports import Collected, Observation
from modelyard.core.jobs.table import Change, Outcome, Result

MAX_FAILURE = 1024
"""Characters of /opt/ml/output/failure that become the reason."""

PREPARING = "Preparing the instances for training"
DOWNLOADING = "Downloading input data"
TRAINING = "Training image download completed. Training in progress."
UPLOADING = "Uploading generated training model"

_ENDS = {
    Phase.COMPLETED: (JobState.SUCCEEDED, "{} job completed"),
    Phase.FAILED: (JobState.FAILED, "{} job failed"),
    Phase.STOPPED: (JobState.STOPPED, "{} job stopped"),
    Phase.MAX_RUNTIME_EXCEEDED: (
        JobState.STOPPED,
        "{} job runtime exceeded MaxRuntimeInSeconds provided",
    ),
    Phase.MAX_WAIT_TIME_EXCEEDED: (
        JobState.STOPPED,
        "{} job wait time exceeded MaxWaitTimeInSeconds provided",
    ),
}


def ending(job: Job, phase: Phase, result: Result | None = None, end: Outcome | None = None) -> Change:
    """The move into a terminal phase."""
    state, message = _ENDS[phase]
    return Change(
        job.stop_requested, state, phase, message.format(job.kind.capitalize()), end=end, result=result or Result()
    )


def failed(job: Job, reason: str, end: Outcome | None, exit_code: int | None = None) -> Change:
    """The move to failed, for ``reason``."""
    return ending(job, Phase.FAILED, Result(failure_reason=reason, exit_code=exit_code), end)


def ended(job: Job, seen: Observation, left: Collected, last_line: str | None) -> Change:
    """The job's end by the exit of its attempt and what that left."""
    phase = _phase(job, seen)
    reason = _reason(job, seen, left, last_line) if phase == Phase.FAILED else None
    artifact = left.model_artifact if phase != Phase.FAILED else None
    return ending(job, phase, Result(reason, seen.exit_code, artifact, left.metrics), "exited")


def fails(job: Job, seen: Observation) -> bool:
    """Whether the job ends as failed by this exit, were it to end now."""
    return _phase(job, seen) == Phase.FAILED


def lost(job: Job, losses: int) -> Change:
    """After the ``losses``-th loss of a supervisor: another attempt if the job allows one, else the end."""
    if job.stop_requested:
        return ending(job, Phase.STOPPED, end="lost")
    if losses <= job.spec.retries:
        message = f"Attempt {job.attempt} was interrupted: its supervisor died. Starting again"
        return Change(False, JobState.STARTING, Phase.INTERRUPTED, message, end="lost")
    reason = (
        f"InternalServerError: the supervisor of attempt {job.attempt} died without a record (killed, or the machine "
        "went down). Create the job again, or give it a RetryStrategy to have it started again by itself."
    )
    return failed(job, reason, "lost")


def deadline(job: Job, began: float) -> float:
    """When an attempt that began at ``began`` must end, in epoch seconds."""
    limits = [(job.started or began) + job.spec.max_runtime]
    if job.spec.max_wait is not None:
        limits.append(job.created + job.spec.max_wait)
    return min(limits)


def reason_of(error: BaseException) -> str:
    """The reason for a fault in staging or collecting: the user's by its message, ours as such."""
    if isinstance(error, ModelyardError) and not isinstance(error, OutOfSpace):
        return f"ClientError: {error}"
    return f"InternalServerError: {error if isinstance(error, OutOfSpace) else f'{type(error).__name__}: {error}'}"


def _phase(job: Job, seen: Observation) -> Phase:
    if job.stop_requested or seen.reason == "stopped":
        return Phase.STOPPED
    if seen.reason == "deadline":
        began = job.started or job.created
        waits = job.spec.max_wait is not None and deadline(job, began) < began + job.spec.max_runtime
        return Phase.MAX_WAIT_TIME_EXCEEDED if waits else Phase.MAX_RUNTIME_EXCEEDED
    return Phase.COMPLETED if seen.reason == "exited" and seen.exit_code == 0 else Phase.FAILED


def _reason(job: Job, seen: Observation, left: Collected, last_line: str | None) -> str:
    if seen.reason == "refused":
        return f"InternalServerError: the job's sandbox could not be made: {seen.message}"
    if seen.reason == "memory":
        asked = job.spec.resources
        return (
            f"AlgorithmError: OutOfMemory: the job needed more memory than {asked.instance_type} has here "
            f"({asked.memory / (1 << 30):.3g} GiB). Use an instance type with more memory, or less data at a time."
        )
    if left.failure:
        return left.failure[:MAX_FAILURE]
    return f"AlgorithmError: {last_line or ''}, exit code: {seen.exit_code}"[:MAX_FAILURE]
