"""An operation's result becomes what JSON or CBOR can hold: a writer for each shape, built once.

Owns what goes out: members of the shape under their wire names, absent ones left out, timestamps as epoch
seconds. A member that the shape lacks is not sent, so an operation may echo more than its answer holds.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from modelyard.dialects.aws.protocol.cbor import Moment
from modelyard.dialects.aws.protocol.models import ListShape, MapShape, Shape, StructureShape

Writer = Callable[[Any], Any]


class Writers:
    """Builds writers out of those for single values, by botocore's name of the type."""

    def __init__(self, leaves: Mapping[str, Writer]) -> None:
        self._leaves = leaves
        self._structures: dict[str, Writer] = {}

    def writer(self, shape: Shape) -> Writer | None:
        """The writer of a shape; None for values that go out as they are."""
        if isinstance(shape, StructureShape):
            return None if shape.is_document_type else self._structure(shape)
        if isinstance(shape, ListShape | MapShape):
            element = self.writer(shape.member if isinstance(shape, ListShape) else shape.value)
            if element is None:
                return None
            return _list(element) if isinstance(shape, ListShape) else _map(element)
        return self._leaves.get(shape.type_name)

    def _structure(self, shape: StructureShape) -> Writer:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, tuple[str, Writer | None]] = {}

        def write(value: Any) -> dict[str, Any]:
            written = {}
            for name, given in value.items():
                if given is not None and (member := members.get(name)) is not None:
                    written[member[0]] = given if member[1] is None else member[1](given)
            return written

        self._structures[shape.name] = write
        for name, member in shape.members.items():
            members[name] = (member.serialization.get("name", name), self.writer(member))
        return write


def _list(element: Writer) -> Writer:
    return lambda value: [element(given) for given in value]


def _map(element: Writer) -> Writer:
    return lambda value: {key: element(given) for key, given in value.items()}


def epoch(value: float | datetime) -> float:
    """Epoch seconds to the millisecond, as the services send them."""
    return round(value.timestamp() if isinstance(value, datetime) else value, 3)


def special(value: float) -> float | str:
    """A float as JSON can hold it: NaN and the infinities are text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def json_writers(others: Mapping[str, Writer] | None = None) -> Writers:
    """Writers for JSON; ``others`` replace single types."""
    leaves: dict[str, Writer] = {"timestamp": epoch, "blob": _base64, "float": special, "double": special}
    return Writers({**leaves, **(others or {})})


def cbor_writers() -> Writers:
    return Writers({"timestamp": lambda value: Moment(epoch(value)), "float": float, "double": float})
