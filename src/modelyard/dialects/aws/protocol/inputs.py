"""Decoded JSON or CBOR becomes an operation's input: a parser for each shape, built once, applied often.

Owns types: what cannot be the shape's type is a SerializationException, as in the service. Members that the
shape lacks are dropped, null means absent. Refuses to know constraints (checks.py) and bytes (wires.py).
Timestamps become epoch seconds, blobs bytes.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from modelyard.dialects.aws.protocol.errors import serialization_error
from modelyard.dialects.aws.protocol.models import ListShape, MapShape, Shape, StructureShape

Parser = Callable[[Any], Any]

_LIMITS = {"integer": 2**31, "long": 2**63}
_ARTICLES = {"String": "a String", "Integer": "an Integer", "Long": "a Long", "Double": "a Double"}


class Parsers:
    """Builds parsers out of those for single values, by botocore's name of the type."""

    def __init__(self, leaves: Mapping[str, Parser]) -> None:
        self._leaves = leaves
        self._structures: dict[str, Parser] = {}

    def parser(self, shape: Shape) -> Parser:
        """The parser of a shape; structures are built once, so a shape may contain itself."""
        if isinstance(shape, StructureShape):
            return _as_is if shape.is_document_type else self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return self._leaves.get(shape.type_name, self._leaves["string"])

    def _structure(self, shape: StructureShape) -> Parser:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, tuple[str, Parser]] = {}

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise unexpected(value, "map")
            parsed = {}
            for wire_name, given in value.items():
                if given is not None and (member := members.get(wire_name)) is not None:
                    parsed[member[0]] = member[1](given)
            return parsed

        self._structures[shape.name] = parse
        for name, member in shape.members.items():
            members[member.serialization.get("name", name)] = (name, self.parser(member))
        return parse

    def _list(self, shape: ListShape) -> Parser:
        element = self.parser(shape.member)

        def parse(value: Any) -> list[Any]:
            if type(value) is not list:
                raise unexpected(value, "list")
            return [None if given is None else element(given) for given in value]

        return parse

    def _map(self, shape: MapShape) -> Parser:
        element = self.parser(shape.value)

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise unexpected(value, "map")
            return {key: None if given is None else element(given) for key, given in value.items()}

        return parse


def _as_is(value: Any) -> Any:
    return value


def unexpected(value: Any, wanted: str) -> Exception:
    """The service's word for a value of another type than ``wanted`` (list, map, String, Integer ...)."""
    if wanted in ("list", "map"):
        return serialization_error(f"Expected {wanted} or null")
    if isinstance(value, dict):
        return serialization_error("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return serialization_error("Start of list found where not expected")
    if isinstance(value, bool):
        kind = "TRUE_VALUE" if value else "FALSE_VALUE"
    else:
        kind = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    return serialization_error(f"{kind} can not be converted to {_ARTICLES.get(wanted, wanted)}")


def text(value: Any) -> str:
    if type(value) is not str:
        raise unexpected(value, "String")
    return value


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise unexpected(value, "Boolean")
    return value


def whole(type_name: str) -> Parser:
    """Integers of 32 (``integer``) or 64 bits (``long``); a float with an integral value is one."""
    limit, wanted = _LIMITS[type_name], type_name.capitalize()

    def parse(value: Any) -> int:
        number = int(value) if type(value) is float and value.is_integer() else value
        if type(number) is not int or not -limit <= number < limit:
            raise unexpected(value, wanted)
        return number

    return parse


def real(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise unexpected(value, "Double")


def json_timestamp(value: Any) -> float:
    """Epoch seconds from a number or an ISO 8601 text."""
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is str:
        return iso_timestamp(value)
    raise unexpected(value, "milliseconds since epoch")


def iso_timestamp(value: str) -> float:
    """Epoch seconds of ``2026-01-02T03:04:05Z`` and the like; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise serialization_error(f"'{value}' can not be converted to milliseconds since epoch") from error


def base64_blob(value: Any) -> bytes:
    if type(value) is not str:
        raise unexpected(value, "a Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise serialization_error("a Blob is not base64") from error


def _cbor_blob(value: Any) -> bytes:
    if type(value) is not bytes:
        raise unexpected(value, "a Blob")
    return value


def json_parsers() -> Parsers:
    return Parsers(_NUMBERS | {"timestamp": json_timestamp, "blob": base64_blob})


def cbor_parsers() -> Parsers:
    return Parsers(_NUMBERS | {"timestamp": json_timestamp, "blob": _cbor_blob})


_NUMBERS: dict[str, Parser] = {
    "string": text,
    "boolean": boolean,
    "integer": whole("integer"),
    "long": whole("long"),
    "float": real,
    "double": real,
}
