"""What an AWS operation answers instead of a result.

Owns ``AwsError`` and the one default mapping from errors of the core. Refuses to know wires: each writes an
error in its own form. Words: https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.base import errors as core


class AwsError(Exception):
    """A refusal in the service's own words. ``members`` are further members of the error's body."""

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}


def validation_error(problems: Sequence[str], code: str = "ValidationException") -> AwsError:
    """The service's answer to members that break constraints.

    >>> validation_error(["Value null at 'a' failed to satisfy constraint: Member must not be null"]).message
    "1 validation error detected: Value null at 'a' failed to satisfy constraint: Member must not be null"
    """
    plural = "error" if len(problems) == 1 else "errors"
    return AwsError(code, f"{len(problems)} validation {plural} detected: {'; '.join(problems)}")


def serialization_error(message: str) -> AwsError:
    """The answer to a body that is not of the operation's shape at all."""
    return AwsError("SerializationException", message)


_BY_CODE = {
    core.NotFound.code: ("ResourceNotFound", 400),
    core.AlreadyExists.code: ("ResourceInUse", 400),
    core.Invalid.code: ("ValidationException", 400),
    core.Conflict.code: ("ConflictException", 400),
    core.Forbidden.code: ("AccessDeniedException", 400),
    core.LimitExceeded.code: ("ResourceLimitExceeded", 400),
    core.OutOfSpace.code: ("InsufficientStorage", 507),
    core.Unavailable.code: ("ServiceUnavailable", 503),
    core.MissingExtra.code: ("ValidationException", 400),
}


def from_core(error: core.ModelyardError) -> AwsError | None:
    """The default answer to an error of the core; None for one that only a fault of ours explains."""
    known = _BY_CODE.get(error.code)
    return AwsError(known[0], error.message, known[1]) if known else None
