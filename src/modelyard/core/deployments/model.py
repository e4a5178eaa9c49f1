"""What a deployment is: a configuration of variants, an endpoint that serves it, the workers behind it.

Owns these values. Refuses to know processes and wires. ``document`` is the request as its door sent it.
An endpoint takes a copy of its configuration and of the models in it when it is made or updated (a Plan):
what serves outlives DeleteModel and DeleteEndpointConfig.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EndpointState(StrEnum):
    """See states.py for the one table of transitions."""

    QUEUED = "queued"
    BUILDING = "building environment"
    STARTING = "starting workers"
    SERVING = "serving"
    UPDATING = "updating"
    ROLLING_BACK = "rolling back"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Variant:
    """One model behind an endpoint. ``weight`` is its share of requests, not of 1."""

    name: str
    model_name: str
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """A named, immutable set of variants; its name is unique among configurations, letter case ignored."""

    id: str
    name: str
    door: str
    region: str
    variants: tuple[Variant, ...]
    document: Mapping[str, Any]
    created: float


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """A variant with its model as it was when the endpoint took it. ``count`` is a number of workers."""

    name: str
    model_name: str
    image: str
    artifact: str | None
    variables: Mapping[str, str]
    instance_type: str
    count: int
    weight: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What an endpoint serves or shall serve. Workers belong to a generation: plans of one generation
    differ only in weights and counts."""

    config_name: str
    generation: int
    variants: tuple[PlannedVariant, ...]

    def variant(self, name: str) -> PlannedVariant | None:
        return next((variant for variant in self.variants if variant.name == name), None)


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """What serves now (current) and what was asked for (desired)."""

    name: str
    image: str
    current_weight: float
    desired_weight: float
    current_count: int
    desired_count: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as stored. ``plan`` is what serves, ``target`` what a creation or an update moves to.

    ``revision`` grows with every write; ``generation`` is the newest that any plan of it has had. ``document``
    is what its door was asked for beside the configuration, kept and shown there.
    """

    id: str
    name: str
    door: str
    region: str
    config_name: str
    state: EndpointState
    created: float
    modified: float
    generation: int = 1
    plan: Plan | None = None
    target: Plan | None = None
    failure_reason: str | None = None
    revision: int = 1
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target_config(self) -> str | None:
        """The configuration that an update moves to."""
        if self.plan is None or self.target is None or self.target.generation == self.plan.generation:
            return None
        return self.target.config_name

    @property
    def variants(self) -> tuple[VariantStatus, ...]:
        """The variants of what serves, or, before anything does, of what shall."""
        shown = self.plan or self.target
        return tuple(self._status(variant) for variant in shown.variants) if shown is not None else ()

    def _status(self, shown: PlannedVariant) -> VariantStatus:
        current = self.plan.variant(shown.name) if self.plan is not None else None
        desired = (self.target.variant(shown.name) if self.target is not None else None) or shown
        return VariantStatus(
            name=shown.name,
            image=shown.image,
            current_weight=current.weight if current else 0.0,
            desired_weight=desired.weight,
            current_count=current.count if current else 0,
            desired_count=desired.count,
        )


class WorkerState(StrEnum):
    """starting -> ready -> leaving -> gone; a worker that fails to start goes straight to leaving."""

    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Worker:
    """One endpoint process. ``reason`` says why it left; of one that is gone only the log is kept."""

    id: str
    endpoint_id: str
    variant: str
    generation: int
    state: WorkerState
    created: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewConfig:
    """What a door hands to ``DeploymentService.create_config``."""

    name: str
    door: str
    region: str
    variants: tuple[Variant, ...]
    document: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
