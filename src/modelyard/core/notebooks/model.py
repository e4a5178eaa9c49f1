"""What a notebook instance is, and the lifecycle configurations it may name.

Owns these values. ``document`` is the request as its door sent it, kept and shown there
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateNotebookInstance.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from modelyard.base.paging import Listing


class NotebookState(StrEnum):
    """See states.py for the one table of transitions."""

    PENDING = "pending"
    IN_SERVICE = "in service"
    STOPPING = "stopping"
    STOPPED = "stopped"
    UPDATING = "updating"
    DELETING = "deleting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook instance as stored."""

    id: str
    name: str
    door: str
    region: str
    state: NotebookState
    document: Mapping[str, Any]
    created: float
    modified: float
    lifecycle_config: str | None = None
    repository: str | None = None
    more_repositories: tuple[str, ...] = ()
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class NewNotebook:
    """What a door hands to ``NotebookService.create``."""

    name: str
    door: str
    region: str
    document: Mapping[str, Any]
    lifecycle_config: str | None = None
    repository: str | None = None
    more_repositories: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotebookQuery:
    """A listing of notebooks with the filters that only they have."""

    listing: Listing = field(default_factory=lambda: Listing(sort_by="name", order="ascending"))
    lifecycle_contains: str | None = None
    repository_contains: str | None = None
    more_repositories_include: str | None = None


@dataclass(frozen=True, slots=True)
class LifecycleConfig:
    """Scripts that a notebook instance runs when it is made and when it starts, base64 as they came."""

    id: str
    name: str
    door: str
    region: str
    document: Mapping[str, Any]
    created: float
    modified: float
