"""What a dialect is made from and what it gives: the value that its ``routes.py`` publishes as ``DIALECT``.

Owns the core as dialects see it, and how they stand in line. Refuses to know which dialects there are: they are
found. A dialect's predictions are not here but in its ``invoke.py``, as ``PREDICTIONS`` (core/deployments/ports.py),
because the front loads those alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from modelyard.base.clock import Clock
from modelyard.base.ids import Ids
from modelyard.core.artifacts.service import ArtifactService
from modelyard.core.deployments.service import DeploymentService
from modelyard.core.identity.policies import PolicyService
from modelyard.core.identity.roles import RoleService
from modelyard.core.identity.service import KeyService
from modelyard.core.jobs.ports import Inputs
from modelyard.core.jobs.service import JobService
from modelyard.core.models.service import ModelService
from modelyard.core.models.tags import TagService
from modelyard.core.notebooks.lifecycle import LifecycleConfigService
from modelyard.core.notebooks.service import NotebookService
from modelyard.edge.http import Request, Response


class Door(Protocol):
    """Where one API's requests come in. Both are called in the event loop."""

    def claims(self, request: Request) -> bool:
        """Whether the request is this API's, well formed or not. Cheap: every request is asked about."""
        ...

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer, or what to await for it. Whatever goes wrong is said in the API's own words."""
        ...


class DialectSettings(Protocol):
    """The settings that dialects go by; docs/settings.md says what each means."""

    @property
    def account_id(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def default_role(self) -> str: ...
    @property
    def describe_hold(self) -> float: ...
    @property
    def stop_grace(self) -> float: ...
    @property
    def control_body(self) -> int: ...


class Core(Protocol):
    """The core over one data directory. Every service is thread-safe and may wait for the disk."""

    @property
    def settings(self) -> DialectSettings: ...
    def version(self) -> Hashable | None:
        """What is another after every commit to the catalogue by anyone; None where that cannot be told. It costs
        less than a microsecond."""
        ...

    @property
    def clock(self) -> Clock: ...
    @property
    def ids(self) -> Ids: ...
    @property
    def keys(self) -> KeyService: ...
    @property
    def roles(self) -> RoleService: ...
    @property
    def policies(self) -> PolicyService: ...
    @property
    def artifacts(self) -> ArtifactService: ...
    @property
    def inputs(self) -> Inputs: ...
    @property
    def models(self) -> ModelService: ...
    @property
    def tags(self) -> TagService: ...
    @property
    def jobs(self) -> JobService: ...
    @property
    def deployments(self) -> DeploymentService: ...
    @property
    def notebooks(self) -> NotebookService: ...
    @property
    def lifecycle_configs(self) -> LifecycleConfigService: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """``open_doors`` makes the doors over a core, with threads for what may wait.

    Dialects are asked by ``order``, then ours before others', then by name. 0 is for an API whose requests carry a
    mark of their own (a target, a signature's service, a path); more is for one that takes what those leave.
    """

    open_doors: Callable[[Core, Executor], Sequence[Door]]
    order: int = 0
