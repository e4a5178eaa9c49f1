"""What the server tells its front: who answers predictions, which keys sign, what is allowed.

Owns the value and its JSON form on the control socket. The front replaces the whole of it at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from modelyard.core.deployments.ports import Route, VariantRoute
from modelyard.core.identity.model import Credential
from modelyard.edge.limits import FrontLimits


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call from where. ``hosts`` are names beside loopback's; ``origins`` of other sites."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    anonymous: bool = True
    sandbox_uids: tuple[int, ...] = ()
    """User ids that sandboxed processes of ours have outside."""


@dataclass(frozen=True, slots=True)
class FrontState:
    """Everything that a front needs from the server to answer."""

    routes: tuple[Route, ...] = ()
    credentials: tuple[Credential, ...] = ()
    limits: FrontLimits = field(default_factory=FrontLimits)
    access: Access = field(default_factory=Access)


def to_json(state: FrontState) -> dict[str, Any]:
    """A document for ``from_json``; it holds secrets."""
    return asdict(state)


def from_json(document: dict[str, Any]) -> FrontState:
    """The state of such a document. Raises KeyError, TypeError, ValueError for another one."""
    access: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document["access"].items()
    }
    return FrontState(
        routes=tuple(_route(route) for route in document["routes"]),
        credentials=tuple(Credential(**credential) for credential in document["credentials"]),
        limits=FrontLimits(**document["limits"]),
        access=Access(**access),
    )


def _route(document: dict[str, Any]) -> Route:
    variants = tuple(VariantRoute(v["name"], v["weight"], tuple(v["sockets"])) for v in document["variants"])
    return Route(document["endpoint"], document["endpoint_id"], variants)
