"""What a signed request says about itself, what is known once it is verified, and why it is refused.

Owns these values for sigv4.py, sigv2.py and postpolicy.py. Refuses to know wires: each dialect says a Fault in
its own words.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from modelyard.core.identity.model import Credential

Lookup = Callable[[str], Credential | None]
"""The credential of an access key, or None."""


class Fault(StrEnum):
    """Why a signature is refused."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown key"
    BAD_TOKEN = "bad token"  # noqa: S105
    EXPIRED_TOKEN = "expired token"  # noqa: S105
    SKEWED = "skewed"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    BAD_SCOPE = "bad scope"
    UNSIGNED_HEADER = "unsigned header"
    MISSING_HASH = "missing payload hash"
    PAYLOAD_MISMATCH = "payload mismatch"
    MISMATCH = "mismatch"
    POLICY = "policy"


class SignatureRefused(Exception):
    """A request carries a signature that does not hold. ``str()`` is a sentence that may be shown."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature as stated, nothing of it verified.

    ``stamp`` is the time of signing as it was written, ``time`` the same in epoch seconds; ``expires`` is how
    many seconds after it a presigned request ends (of V2: ``time`` is the end and ``expires`` 0).
    """

    form: Literal["header", "query", "query-v2"]
    access_key: str
    signature: str
    stamp: str
    time: float
    date: str = ""
    region: str = ""
    service: str = ""
    signed_headers: tuple[str, ...] = ()
    expires: float | None = None
    token: str | None = None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds. ``payload`` is what it says of the body: a SHA-256 in hex, ``UNSIGNED-PAYLOAD`` or
    ``STREAMING-...``; of S3 the caller must still compare the body with it."""

    credential: Credential
    claim: Claim
    payload: str
    signing_key: bytes = b""


def credential_for(access_key: str, lookup: Lookup, now: float) -> Credential:
    """The credential that a signature of this key is checked with. Raises SignatureRefused."""
    credential = lookup(access_key)
    if credential is None:
        raise SignatureRefused(Fault.UNKNOWN_KEY, f"No key {access_key!r} is known here.")
    if credential.expires is not None and credential.expires <= now:
        raise SignatureRefused(Fault.EXPIRED_TOKEN, "The session of the key that signed this request has ended.")
    return credential


def check_token(credential: Credential, token: str | None) -> None:
    """Raises SignatureRefused when the session token is not the credential's."""
    expected, given = credential.session_token or "", token or ""
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise SignatureRefused(Fault.BAD_TOKEN, "The security token included in the request is invalid.")


def mismatch() -> SignatureRefused:
    """The refusal of a signature that was not made with the key over this request."""
    return SignatureRefused(
        Fault.MISMATCH,
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method.",
    )
