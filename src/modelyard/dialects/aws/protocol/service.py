"""AWS services as registries of plain functions.

Owns which operations exist and how each is called; their shapes come from botocore's model of the service.
Refuses to know wires, signatures and what an operation does.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from modelyard.base.errors import ModelyardError
from modelyard.core.identity.model import Credential
from modelyard.dialects.aws.protocol.errors import AwsError, from_core
from modelyard.dialects.aws.protocol.models import OperationModel, ServiceModel, service_model


@dataclass(frozen=True, slots=True)
class Call:
    """The circumstances of one call. ``region`` is that of the signature."""

    service: str
    operation: str
    region: str
    account: str
    credential: Credential | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """What one operation demands or accepts beyond botocore's model, by shape name.

    ``required`` adds members that must be given, ``enums`` values that are accepted.
    """

    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Result = dict[str, Any] | None
Function = Callable[[Call, dict[str, Any]], Result | Awaitable[Result]]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered function and how the dispatcher calls it."""

    name: str
    function: Function
    how: Literal["inline", "thread", "async"]
    overlay: Overlay
    model: OperationModel
    remembered: bool = False


class AwsService:
    """The operations that we have of the AWS service that botocore calls ``name``.

    ``validation_code`` is the error code of a broken constraint there; ``errors`` maps errors of the core
    (None: a fault of ours, answered InternalFailure).

    >>> service = AwsService("sts", validation_code="ValidationError")
    >>> @service.operation("GetCallerIdentity", inline=True)
    ... def get_caller_identity(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    ...     return {"Account": call.account}
    >>> sorted(service.operations)
    ['GetCallerIdentity']
    """

    def __init__(
        self,
        name: str,
        validation_code: str = "ValidationException",
        errors: Callable[[ModelyardError], AwsError | None] = from_core,
    ) -> None:
        self.name = name
        self.validation_code = validation_code
        self.errors = errors
        self.operations: dict[str, Operation] = {}

    @cached_property
    def model(self) -> ServiceModel:
        return service_model(self.name)

    @cached_property
    def signing_name(self) -> str:
        return str(self.model.signing_name)

    def operation(
        self, name: str, inline: bool = False, overlay: Overlay | None = None, remembered: bool = False
    ) -> Callable[[F], F]:
        """Register a function as operation ``name``. Raises KeyError when the model has no such operation.

        ``inline`` functions are called in the event loop (cheap local reads); ``async def`` ones are
        awaited there; all others run in a thread. ``remembered``, with ``inline``: the answer follows from the
        input, the region and what is committed in the catalogue, from nothing else; it is given again to whoever
        asks rightly for the same until anything is committed.
        """
        if name not in self.model.operation_names:
            raise KeyError(f"{self.name} has no operation {name}")

        def register(function: F) -> F:
            awaited = inspect.iscoroutinefunction(function)
            how: Literal["inline", "thread", "async"] = "async" if awaited else "inline" if inline else "thread"
            model = self.model.operation_model(name)
            self.operations[name] = Operation(name, function, how, overlay or Overlay(), model, remembered)
            return function

        return register
