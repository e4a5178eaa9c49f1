"""The errors of the core: types with a code and fields; the docstring is the message.

Owns how an error states itself. Refuses to know any dialect: each maps ``code`` to its wire once.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ModelyardError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        template = " ".join((type(self).__doc__ or "").split())
        super().__init__(template.format_map(fields))

    @property
    def message(self) -> str:
        return str(self)


class NotFound(ModelyardError):
    """{kind} {name!r} does not exist."""

    code = "not_found"


class AlreadyExists(ModelyardError):
    """{kind} {name!r} exists already."""

    code = "already_exists"


class Invalid(ModelyardError):
    """{what}"""

    code = "invalid"


class Conflict(ModelyardError):
    """{what}"""

    code = "conflict"


class Forbidden(ModelyardError):
    """{what}"""

    code = "forbidden"


class LimitExceeded(ModelyardError):
    """{what}"""

    code = "limit_exceeded"


class OutOfSpace(ModelyardError):
    """Writing {wanted} bytes would leave less than {reserve} bytes free on the disk of {where};
    free some space or lower the setting disk_reserve."""

    code = "out_of_space"


class Unavailable(ModelyardError):
    """{what}"""

    code = "unavailable"


class MissingExtra(ModelyardError):
    """{what} needs {package}, which is not installed: pip install 'modelyard[{extra}]'
    (in a checkout: pip install '.[{extra}]')"""

    code = "missing_extra"


class LeaseLost(ModelyardError):
    """Lease {token} on {kind} {name!r} is no longer held; nothing was written."""

    code = "lease_lost"
