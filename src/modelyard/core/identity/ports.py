"""What identity needs from outside: a table of keys and a cipher for the secrets in it.

Owns the two ports, each with its contract in prose. Refuses to know SQL and cryptography.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key at rest. ``sealed`` is an encrypted secret (signing, session), ``digest`` a token's SHA-256 in hex."""

    id: str
    kind: Literal["signing", "bearer", "session"]
    name: str
    principal: str
    created: float
    expires: float | None = None
    sealed: bytes | None = None
    digest: str | None = None
    owner: str | None = None
    """The job that a session belongs to; its sessions go with it."""


class KeyTable(Protocol):
    """Where keys are kept.

    Owns rows. Thread-safe. ``add`` and ``remove`` are on disk when they return; ``add`` raises AlreadyExists for a
    taken id. Secrets reach it already encrypted or hashed.
    """

    def add(self, row: KeyRow) -> None: ...

    def get(self, key_id: str) -> KeyRow | None: ...

    def find_digest(self, digest: str) -> KeyRow | None: ...

    def all(self) -> tuple[KeyRow, ...]: ...

    def remove(self, key_id: str) -> bool: ...

    def remove_owned(self, owner: str) -> int: ...

    def remove_expired(self, now: float) -> int: ...


class Cipher(Protocol):
    """Encryption of secrets at rest.

    Pure; ``open`` raises ValueError for bytes that ``seal`` did not make with the same key.
    """

    def seal(self, secret: bytes) -> bytes: ...

    def open(self, sealed: bytes) -> bytes: ...
