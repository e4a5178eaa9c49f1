"""What a model is: containers (image, artifact, environment) under one name, whichever door made it.

Owns the model as a value. ``document`` is the request as its door sent it, kept and shown there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ModelContainer:
    """One step of a model: what serves it, the ``s3://`` location of its model.tar.gz, its variables."""

    image: str
    artifact: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    hostname: str | None = None
    mode: Literal["single", "multi"] = "single"


@dataclass(frozen=True, slots=True)
class Model:
    """A model as stored; ``name`` is its SageMaker name, unique with letter case ignored."""

    id: str
    name: str
    door: str
    region: str
    containers: tuple[ModelContainer, ...]
    document: Mapping[str, Any]
    created: float
    modified: float
    network: bool = False


@dataclass(frozen=True, slots=True)
class NewModel:
    """What a door hands to ``ModelService.create``. ``name`` None: named by ``base.ids.wire_name``."""

    door: str
    region: str
    containers: tuple[ModelContainer, ...]
    document: Mapping[str, Any]
    name: str | None = None
    display_name: str = ""
    network: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
