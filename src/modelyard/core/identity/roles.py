"""Roles that jobs and models name: kept because clients make, read and remove them, never consulted for rights.

Owns the rule that a client which was written for an account with roles of its own works unchanged: every name
answers as a role that SageMaker may assume, until somebody deletes it. The default role cannot be deleted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelyard.base.clock import Clock
from modelyard.base.errors import AlreadyExists, Conflict, NotFound
from modelyard.base.ids import Ids
from modelyard.core.identity.model import InUse, entity_id

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
"""Who may assume a role that nobody made: SageMaker."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role. ``trust`` is its policy as JSON text, ``document`` what its door keeps and shows beside it."""

    name: str
    id: str
    path: str
    trust: str
    created: float
    document: Mapping[str, Any] = field(default_factory=dict)
    deleted: float | None = None
    attached: tuple[str, ...] = ()
    """The ARNs of its managed policies."""
    inline: Mapping[str, str] = field(default_factory=dict)
    """Its own policies by name, each a JSON text."""


class RoleTable(Protocol):
    """Where roles are kept.

    Owns rows. Thread-safe. ``get`` also answers a deleted role, which stays marked so that it does not come back by
    itself; ``living`` are the others. ``add`` takes the place of a deleted role and raises AlreadyExists for a living
    one; ``put`` keeps a role, known to the table or not, and ``bury`` marks one. All are on disk when they return.
    """

    def get(self, name: str) -> Role | None: ...

    def add(self, role: Role) -> None: ...

    def put(self, role: Role) -> None: ...

    def bury(self, role: Role, at: float) -> None: ...

    def living(self) -> tuple[Role, ...]: ...


class RoleService:
    """Thread-safe, within the one process that serves a data directory."""

    def __init__(self, table: RoleTable, clock: Clock, ids: Ids, default: str) -> None:
        self._table = table
        self._clock = clock
        self._ids = ids
        self._turn = threading.Lock()
        self.default = default

    def create(self, name: str, path: str, trust: str, document: Mapping[str, Any]) -> Role:
        """A role under a name that no role was made under. Raises AlreadyExists, for the default role too."""
        if name == self.default:
            raise AlreadyExists(kind="role", name=name)
        role = Role(name, entity_id("AROA", self._ids), path, trust, self._clock.now(), document)
        self._table.add(role)
        return role

    def get(self, name: str) -> Role:
        """The role of that name, as the default one if nobody made it. Raises NotFound for a deleted role."""
        found = self._table.get(name) or _unmade(name)
        if found.deleted is not None:
            raise NotFound(kind="role", name=name)
        return found

    def id_of(self, name: str) -> str:
        """The id of the role of that name, deleted or not."""
        return (self._table.get(name) or _unmade(name)).id

    def change(self, name: str, change: Callable[[Role], Role]) -> Role:
        """The role as ``change`` makes it of what it is now. Raises NotFound, and what ``change`` raises."""
        with self._turn:
            changed = change(self.get(name))
            self._table.put(changed)
            return changed

    def holders(self, policy_arn: str) -> tuple[Role, ...]:
        """The roles that this managed policy is attached to."""
        return tuple(role for role in self._table.living() if policy_arn in role.attached)

    def delete(self, name: str) -> None:
        """End a role. Raises NotFound for one that is gone already, Conflict for the default role, InUse for one that
        has policies."""
        if name == self.default:
            raise Conflict(what=f"{name} is the default role of this server and cannot be deleted")
        with self._turn:
            role = self.get(name)
            if role.attached:
                raise InUse(what="Cannot delete entity, must detach all policies first.")
            if role.inline:
                raise InUse(what="Cannot delete entity, must delete policies first.")
            self._table.bury(role, self._clock.now())


def _unmade(name: str) -> Role:
    return Role(name, "AROAMODELYARDDEFAULT1", "/", TRUST, 0.0)
