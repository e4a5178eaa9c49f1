"""Managed policies that clients make for their roles: kept, versioned and shown, never consulted for rights.

Owns versions and the one that counts. Refuses to know what a document says. AWS's rules of versions:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from modelyard.base.clock import Clock
from modelyard.base.errors import LimitExceeded, NotFound
from modelyard.base.ids import Ids
from modelyard.core.identity.model import InUse, entity_id

MOST_VERSIONS = 5
"""Versions of one policy that are kept; who wants another deletes one first."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """``text`` is the document as JSON."""

    id: str
    text: str
    created: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. ``counts`` is the id of the version in force, ``made`` how many versions it has had, for no id is given
    twice; ``document`` what its door keeps beside it."""

    name: str
    id: str
    path: str
    created: float
    updated: float
    counts: str
    versions: tuple[PolicyVersion, ...]
    made: int = 1
    document: Mapping[str, Any] = field(default_factory=dict)

    def version(self, version_id: str) -> PolicyVersion:
        """Raises NotFound."""
        for version in self.versions:
            if version.id == version_id:
                return version
        raise NotFound(kind="policy version", name=version_id)


class PolicyTable(Protocol):
    """Where policies are kept.

    Owns rows, one for each name. Thread-safe. ``add`` raises AlreadyExists; ``put`` replaces one that is there; both
    and ``remove``, which says whether there was one, are on disk when they return.
    """

    def get(self, name: str) -> Policy | None: ...

    def add(self, policy: Policy) -> None: ...

    def put(self, policy: Policy) -> None: ...

    def remove(self, name: str) -> bool: ...


class PolicyService:
    """Thread-safe, within the one process that serves a data directory."""

    def __init__(self, table: PolicyTable, clock: Clock, ids: Ids) -> None:
        self._table = table
        self._clock = clock
        self._ids = ids
        self._turn = threading.Lock()

    def create(self, name: str, path: str, text: str, document: Mapping[str, Any]) -> Policy:
        """Raises AlreadyExists."""
        now = self._clock.now()
        first = PolicyVersion("v1", text, now)
        policy = Policy(name, entity_id("ANPA", self._ids), path, now, now, first.id, (first,), 1, document)
        self._table.add(policy)
        return policy

    def get(self, name: str) -> Policy:
        """Raises NotFound."""
        found = self._table.get(name)
        if found is None:
            raise NotFound(kind="policy", name=name)
        return found

    def add_version(self, name: str, text: str, counts: bool) -> PolicyVersion:
        """A further version. Raises NotFound, and LimitExceeded where there are enough."""
        made: list[PolicyVersion] = []

        def add(policy: Policy) -> Policy:
            if len(policy.versions) >= MOST_VERSIONS:
                raise LimitExceeded(what=f"Cannot exceed quota for PolicyVersionsPerPolicy: {MOST_VERSIONS}")
            number = policy.made + 1
            version = PolicyVersion(f"v{number}", text, self._clock.now())
            made.append(version)
            in_force = version.id if counts else policy.counts
            return replace(policy, versions=(*policy.versions, version), made=number, counts=in_force)

        self._change(name, add)
        return made[0]

    def choose_version(self, name: str, version_id: str) -> None:
        """Let that version count. Raises NotFound."""
        self._change(name, lambda policy: replace(policy, counts=policy.version(version_id).id))

    def delete_version(self, name: str, version_id: str) -> None:
        """Raises NotFound, and InUse for the version that counts."""

        def without(policy: Policy) -> Policy:
            gone = policy.version(version_id)
            if gone.id == policy.counts:
                raise InUse(what="Cannot delete the default version of a policy.")
            return replace(policy, versions=tuple(one for one in policy.versions if one != gone))

        self._change(name, without)

    def delete(self, name: str) -> None:
        """End a policy. Raises NotFound, and InUse while it has versions that do not count."""
        with self._turn:
            if len(self.get(name).versions) > 1:
                raise InUse(
                    what="This policy has more than one version. Before you delete a policy, you must delete the "
                    "policy's versions. The default version is deleted with the policy."
                )
            self._table.remove(name)

    def _change(self, name: str, change: Callable[[Policy], Policy]) -> None:
        with self._turn:
            self._table.put(replace(change(self.get(name)), updated=self._clock.now()))
