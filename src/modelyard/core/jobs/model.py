"""What a job is: one run of a user's code, whoever asked for it and wherever it runs.

Owns the job as a value. Refuses to know how a door words it: ``document`` is the request as its own door
sent it, kept and shown there, never read here. Field meanings follow the container contract of
SageMaker training (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from modelyard.base.paging import Listing


class JobState(StrEnum):
    """queued -> starting -> running -> (stopping ->) stopped | succeeded | failed; see states.py."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Phase(StrEnum):
    """What a job is busy with inside its state; each change is a transition that clients can list."""

    STARTING = "Starting"
    PENDING = "Pending"
    DOWNLOADING = "Downloading"
    TRAINING = "Training"
    INTERRUPTED = "Interrupted"
    UPLOADING = "Uploading"
    STOPPING = "Stopping"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"
    MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
    MAX_WAIT_TIME_EXCEEDED = "MaxWaitTimeExceeded"


@dataclass(frozen=True, slots=True)
class Channel:
    """One named input. ``location`` is an ``s3://`` prefix, manifest or augmented manifest by ``source``."""

    name: str
    location: str
    source: Literal["prefix", "manifest", "augmented_manifest"] = "prefix"
    mode: Literal["File", "FastFile", "Pipe"] = "File"
    distribution: Literal["replicated", "sharded"] = "replicated"
    compression: Literal["none", "gzip"] = "none"
    record_wrapper: Literal["none", "RecordIO"] = "none"
    content_type: str | None = None
    shuffle_seed: int | None = None
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """``pattern`` is searched in each log line; its first group is the value."""

    name: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Resources:
    """What one instance of the job may use: processors, bytes of memory. ``instance_type`` is echoed."""

    instance_type: str
    instance_count: int = 1
    cpus: float = 1.0
    memory: int = 2 << 30

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that the instances know one another by: ``algo-1`` and on."""
        return tuple(f"algo-{number}" for number in range(1, self.instance_count + 1))


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything that decides how a job runs. Times are seconds; locations are ``s3://`` URLs."""

    image: str
    resources: Resources
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    output: str = ""
    output_compressed: bool = True
    checkpoints: str | None = None
    checkpoints_path: str = "/opt/ml/checkpoints"
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    metrics: tuple[MetricDefinition, ...] = ()
    max_runtime: float = 86_400
    max_wait: float | None = None
    stop_grace: float = 120
    retries: int = 0
    network: bool = True
    """Whether the job may use the network; it then gets session credentials of ``principal``."""
    principal: str | None = None
    """The access key that signed the creation; None for anonymous."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of a job's history."""

    phase: Phase
    started: float
    ended: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Metric:
    """The value of a metric at a time, in epoch seconds."""

    name: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored. ``name`` is its SageMaker name, unique within its ``kind`` (kinds/), ``door`` who made it.
    ``modified`` grows with every change, so that two reads with the same value saw the same job. A deadline ends a job
    as ``stopped`` in the phase MAX_RUNTIME_EXCEEDED or MAX_WAIT_TIME_EXCEEDED, with what it had made until then."""

    id: str
    name: str
    kind: str
    door: str
    region: str
    spec: JobSpec
    document: Mapping[str, Any]
    state: JobState
    phase: Phase
    created: float
    modified: float
    attempt: int = 0
    started: float | None = None
    """When the user's code began."""
    ended: float | None = None
    failure_reason: str | None = None
    exit_code: int | None = None
    model_artifact: str | None = None
    stop_requested: bool = False
    transitions: tuple[Transition, ...] = ()
    final_metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's output. ``at`` is epoch milliseconds; ``offset`` the byte where it begins in its stream."""

    at: int
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines of a stream, oldest first. ``start`` and ``end`` are the bytes they lie between: reading forward
    from ``end`` goes on, backward from ``start`` goes back; both stay where they are when there is no more."""

    lines: tuple[LogLine, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LogStream:
    """The output of one host of one attempt: ``<job>/algo-<host>-<attempt epoch>``. It exists from the job's
    creation on, empty. Times are epoch milliseconds, ``created`` epoch seconds, ``size`` bytes."""

    name: str
    host: str
    created: float
    first_at: int | None = None
    last_at: int | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a door hands to ``JobService.create``. ``name`` None: named by the rule of ``base.ids.wire_name``."""

    kind: str
    door: str
    region: str
    spec: JobSpec
    document: Mapping[str, Any]
    name: str | None = None
    display_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobQuery:
    """What ``JobService.list`` selects. None means any. ``sort_by`` state is SageMaker's order of its words:
    Completed, Failed, InProgress, Stopped, Stopping."""

    listing: Listing = field(default_factory=Listing)
    kind: str | None = None
    door: str | None = None
    region: str | None = None
