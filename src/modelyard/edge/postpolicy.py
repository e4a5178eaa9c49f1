"""S3's POST forms: a signed policy that says which uploads a browser or a script may make, and until when.

Follows https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html and, for version 2,
https://docs.aws.amazon.com/AmazonS3/latest/API/HTTPPOSTForms.html. Form fields come with names in lower case.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelyard.core.identity.model import Credential
from modelyard.edge import sigv2, sigv4
from modelyard.edge.claims import Fault, Lookup, SignatureRefused, check_token, credential_for, mismatch

_FREE = frozenset({"awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"})
_REFUSED = "Invalid according to Policy: "


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A form whose policy is signed and has not expired."""

    credential: Credential
    conditions: tuple[Any, ...]

    @property
    def longest(self) -> int | None:
        """The most bytes that a file may have by ``content-length-range``."""
        ends = [c[2] for c in self.conditions if isinstance(c, list) and c[0] == "content-length-range"]
        return min(ends) if ends else None


def verify_form(fields: Mapping[str, str], lookup: Lookup, now: float) -> SignedForm | None:
    """The form with its signature checked; None for an anonymous one. Raises SignatureRefused."""
    policy = fields.get("policy")
    if policy is None:
        return None
    if "x-amz-signature" in fields:
        credential, expected = _version_4(fields, policy, lookup, now)
        stated = fields["x-amz-signature"]
    elif "awsaccesskeyid" in fields and "signature" in fields:
        credential = credential_for(fields["awsaccesskeyid"], lookup, now)
        expected, stated = sigv2.sign(credential.secret, _latin(policy)).decode(), fields["signature"]
    else:
        raise SignatureRefused(Fault.MALFORMED, "A form with a policy must be signed.")
    if not hmac.compare_digest(expected.encode(), stated.encode("utf-8", "replace")):
        raise mismatch()
    check_token(credential, fields.get("x-amz-security-token"))
    return SignedForm(credential, _conditions(policy, now))


def check_conditions(form: SignedForm, fields: Mapping[str, str], bucket: str, size: int) -> None:
    """Raises SignatureRefused (policy) unless each condition holds and each field is under one.

    ``size`` is the file's length in bytes; ``fields`` has ``key`` with ``${filename}`` already replaced.
    """
    values = {**fields, "bucket": bucket}
    covered: set[str] = set()
    for condition in form.conditions:
        if isinstance(condition, list) and condition[0] == "content-length-range":
            if not condition[1] <= size <= condition[2]:
                raise SignatureRefused(Fault.POLICY, f"{_REFUSED}the file's size is outside {condition[1:]}")
            continue
        kind, name, expected = _triple(condition)
        value = values.get(name, "")
        if not (value.startswith(expected) if kind == "starts-with" else value == expected):
            raise SignatureRefused(Fault.POLICY, f"{_REFUSED}Policy Condition failed: {json.dumps(condition)}")
        covered.add(name)
    for name in values:
        if name not in covered | _FREE | {"bucket"} and not name.startswith("x-ignore-"):
            raise SignatureRefused(Fault.POLICY, f"{_REFUSED}Extra input fields: {name}")


def _version_4(fields: Mapping[str, str], policy: str, lookup: Lookup, now: float) -> tuple[Credential, str]:
    if fields.get("x-amz-algorithm") != sigv4.ALGORITHM:
        raise SignatureRefused(Fault.MALFORMED, f"x-amz-algorithm must be {sigv4.ALGORITHM}.")
    access_key, date, region, service = sigv4.split_credential(fields.get("x-amz-credential", ""))
    if service != "s3" or not fields.get("x-amz-date", "").startswith(date):
        raise SignatureRefused(Fault.BAD_SCOPE, "The credential's scope must be s3 and the day of signing.")
    credential = credential_for(access_key, lookup, now)
    key = sigv4.signing_key(credential.secret, date, region, service)
    return credential, hmac.digest(key, policy.encode("utf-8", "replace"), "sha256").hex()


def _conditions(policy: str, now: float) -> tuple[Any, ...]:
    try:
        document = json.loads(base64.b64decode(policy))
        ends = datetime.fromisoformat(document["expiration"])
        conditions = document["conditions"]
        for condition in conditions:
            _check_form(condition)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise SignatureRefused(Fault.MALFORMED, f"Invalid Policy: {error}") from error
    if now > (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp():
        raise SignatureRefused(Fault.POLICY, f"{_REFUSED}Policy expired.")
    return tuple(conditions)


def _check_form(condition: Any) -> None:
    if isinstance(condition, list) and condition[0] == "content-length-range":
        if not (isinstance(condition[1], int) and isinstance(condition[2], int)):
            raise ValueError("content-length-range needs two numbers")
        return
    kind, name, value = _triple(condition)
    if kind not in ("eq", "starts-with") or not (isinstance(name, str) and isinstance(value, str)):
        raise ValueError(f"{condition} is no condition")


def _triple(condition: Any) -> tuple[str, str, str]:
    if isinstance(condition, dict):
        ((name, value),) = condition.items()
        return "eq", name.lower(), value
    kind, name, value = condition
    return kind.lower(), name.removeprefix("$").lower(), value


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
