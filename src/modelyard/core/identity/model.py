"""Who calls: access keys that sign, bearer tokens, session credentials of running jobs.

Owns these values. A secret is shown once, when it is made; SigV4 needs it again, so it is stored
encrypted, while a bearer token is stored only as its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelyard.base.errors import Conflict
from modelyard.base.ids import Ids


def entity_id(kind: str, ids: Ids) -> str:
    """A new id of the form that IAM gives: a ``kind`` such as AROA (a role) and 17 letters and figures."""
    return f"{kind}{ids.new_id().replace('-', '').upper()[-17:]}"


@dataclass(frozen=True, slots=True)
class Credential:
    """A key as the signature check needs it."""

    access_key: str
    secret: str
    principal: str
    """The access key whose rights it has: itself, or the one that signed a job's creation."""
    session_token: str | None = None
    expires: float | None = None
    role: str | None = None
    """Of a session: the name of the role that it was made to be; None for the default one."""
    session: str | None = None
    """Of a session: the name that its maker gave it."""


class InUse(Conflict):
    """{what}"""

    code = "in_use"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as it is listed: nothing secret."""

    id: str
    kind: Literal["signing", "bearer", "session"]
    name: str
    created: float
    expires: float | None = None
