"""What a deployment is: a configuration of variants, an endpoint that serves it, the workers behind it.

Owns these values. Refuses to know processes and wires. ``document`` is the request as its door sent it.
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
    """A named, immutable set of variants."""

    id: str
    name: str
    door: str
    region: str
    variants: tuple[Variant, ...]
    document: Mapping[str, Any]
    created: float


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
    """An endpoint as stored. ``config_name`` is what serves; ``target_config`` what an update moves to.

    ``generation`` grows with each change of what must serve; workers of an older one leave when those of
    the newer answer.
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
    target_config: str | None = None
    failure_reason: str | None = None
    variants: tuple[VariantStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class NewConfig:
    """What a door hands to ``DeploymentService.create_config``."""

    name: str
    door: str
    region: str
    variants: tuple[Variant, ...]
    document: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
