"""UpdateTrainingJob as a change of the request that is kept with a job.

Owns which member may be changed in which state of the job. Refuses to act on any of them: what they configure has no
effect here (fields.py). Which states, follows
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateTrainingJob.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools-how-to-use.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.core.jobs.model import Job, JobState, Phase
from modelyard.core.jobs.states import TERMINAL
from modelyard.dialects.sagemaker.errors import refused
from modelyard.dialects.sagemaker.translate.states import TRAINING
from modelyard.dialects.sagemaker.translate.training import DOOR

Document = Mapping[str, Any]


def updated(job: Job, request: Document) -> dict[str, Any]:
    """The document of ``job`` with what ``request`` changes of it. Raises ValidationException."""
    if job.door != DOOR:
        raise refused(f"Training job '{job.name}' was made through another API; it cannot be updated through this one.")
    document = dict(job.document)
    if "ProfilerConfig" in request or "ProfilerRuleConfigurations" in request:
        document |= _profiling(job, request)
    if "RemoteDebugConfig" in request:
        document["RemoteDebugConfig"] = _remote_debug(job, request)
    if "ResourceConfig" in request:
        document["ResourceConfig"] = _resources(job, request)
    return document


def in_status(job: Job) -> str:
    """Why a job that is as this one is refuses a request."""
    return f"The request was rejected because the training job is in status {TRAINING[job.state]}."


def _profiling(job: Job, request: Document) -> dict[str, Any]:
    """Members of ProfilerConfig one by one, the rules as a whole; while the job is in progress."""
    if job.state in TERMINAL or job.state == JobState.STOPPING:
        raise refused(in_status(job))
    changed: dict[str, Any] = {}
    if "ProfilerConfig" in request:
        changed["ProfilerConfig"] = {**(job.document.get("ProfilerConfig") or {}), **request["ProfilerConfig"]}
    if "ProfilerRuleConfigurations" in request:
        changed["ProfilerRuleConfigurations"] = request["ProfilerRuleConfigurations"]
    return changed


def _remote_debug(job: Job, request: Document) -> dict[str, Any]:
    if job.phase not in (Phase.DOWNLOADING, Phase.TRAINING):
        raise refused(
            "RemoteDebugConfig can be updated while the SecondaryStatus of the training job is Downloading or "
            f"Training; it is {job.phase}."
        )
    return {**(job.document.get("RemoteDebugConfig") or {}), **request["RemoteDebugConfig"]}


def _resources(job: Job, request: Document) -> dict[str, Any]:
    """How long a warm pool is kept: of a job that asked for one, until it failed or was stopped."""
    resources: Document = job.document["ResourceConfig"]
    if not resources.get("KeepAlivePeriodInSeconds"):
        raise refused(
            f"Training job '{job.name}' has no warm pool: KeepAlivePeriodInSeconds can be updated only of a job that "
            "was created with one greater than 0."
        )
    if job.state in (JobState.FAILED, JobState.STOPPED, JobState.STOPPING):
        raise refused(in_status(job))
    return {**resources, "KeepAlivePeriodInSeconds": request["ResourceConfig"]["KeepAlivePeriodInSeconds"]}
