"""The query wire: a form of dotted names in, XML out.

Owns both directions by shape (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html). Bounded in names
and depth, so that a form cannot grow a tree larger than itself by much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from modelyard.dialects.aws.protocol.errors import AwsError
from modelyard.dialects.aws.protocol.inputs import base64_blob, iso_timestamp
from modelyard.dialects.aws.protocol.models import ListShape, MapShape, OperationModel, Shape, StructureShape
from modelyard.dialects.aws.protocol.outputs import Writers, epoch, json_writers

_MOST_NAMES = 10_000
_DEEPEST = 16
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
Node = dict[str, Any]
"""A name's own value under ``""`` and the names below it."""


def form(raw: str) -> dict[str, str]:
    """The parameters of a form or query string. Raises AwsError MalformedInput."""
    try:
        return dict(parse_qsl(raw, keep_blank_values=True, max_num_fields=_MOST_NAMES, errors="strict"))
    except ValueError as error:
        raise malformed(str(error)) from error


def malformed(reason: str) -> AwsError:
    return AwsError("MalformedInput", f"Invalid content: {reason}")


def read(parameters: dict[str, str], shape: StructureShape | None) -> dict[str, Any]:
    """An operation's input from its form. Raises AwsError for values of the wrong type."""
    if shape is None:
        return {}
    root: Node = {}
    for name, value in parameters.items():
        parts = name.split(".", _DEEPEST + 1)
        if len(parts) > _DEEPEST:
            raise malformed(f"{name[:100]} is nested too deeply")
        node = root
        for part in parts:
            node = node.setdefault(part, {})
        node[""] = value
    return _structure(root, shape)


def _structure(node: Node, shape: StructureShape) -> dict[str, Any]:
    parsed = {}
    for name, member in shape.members.items():
        given = node.get(member.serialization.get("name", name))
        if given is not None:
            parsed[name] = _value(given, member)
    return parsed


def _value(node: Node, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(node, shape)
    if isinstance(shape, ListShape):
        name = shape.member.serialization.get("name", "member")
        return [_value(element, shape.member) for element in _numbered(node, name, shape)]
    if isinstance(shape, MapShape):
        key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        entries = _numbered(node, "entry", shape)
        return {_value(entry.get(key, {}), shape.key): _value(entry.get(value, {}), shape.value) for entry in entries}
    text = node.get("", "")
    try:
        return _SINGLE[shape.type_name](text) if shape.type_name in _SINGLE else text
    except ValueError as error:
        raise malformed(f"{text[:100]!r} is not a {shape.type_name}") from error


def _numbered(node: Node, name: str, shape: Shape) -> Iterator[Node]:
    below = node if shape.serialization.get("flattened") else node.get(name, {})
    for number in sorted((number for number in below if number.isdecimal()), key=int):
        yield below[number]


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _timestamp(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdecimal() else iso_timestamp(text)


_SINGLE: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": base64_blob,
}


def xml_writers() -> Writers:
    """Writers that leave times as ISO 8601 text; ``xml`` then needs names only."""
    return json_writers({"timestamp": iso, "boolean": lambda value: "true" if value else "false"})


def iso(value: float | datetime) -> str:
    """A time as XML holds it.

    >>> iso(1767323045.0)
    '2026-01-02T03:04:05Z'
    """
    moment = datetime.fromtimestamp(epoch(value), UTC)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")


def answer(operation: OperationModel, result: dict[str, Any], request_id: str) -> str:
    """The XML of an operation's answer; ``result`` was written by ``xml_writers``."""
    shape = operation.output_shape
    body = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        body = f"<{wrapper}>{_members(result, shape)}</{wrapper}>"
    return (
        f'<{operation.name}Response xmlns="{operation.metadata["xmlNamespace"]}">{body}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    )


def refusal(error: AwsError, namespace: str, request_id: str) -> str:
    """The XML of an error."""
    fault = "Sender" if error.status < 500 else "Receiver"
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type><Code>{_text(error.code)}</Code>'
        f"<Message>{_text(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _members(value: dict[str, Any], shape: StructureShape) -> str:
    parts = []
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        if wire_name in value:
            parts.append(_element(wire_name, value[wire_name], member))
    return "".join(parts)


def _element(name: str, value: Any, shape: Shape) -> str:
    flattened = shape.serialization.get("flattened")
    if isinstance(shape, StructureShape):
        return f"<{name}>{_members(value, shape)}</{name}>"
    if isinstance(shape, ListShape):
        inner = shape.member.serialization.get("name", "member")
        items = "".join(_element(name if flattened else inner, element, shape.member) for element in value)
        return items if flattened else f"<{name}>{items}</{name}>"
    if isinstance(shape, MapShape):
        key, inner = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        entry = name if flattened else "entry"
        items = "".join(
            f"<{entry}>{_element(key, k, shape.key)}{_element(inner, v, shape.value)}</{entry}>"
            for k, v in value.items()
        )
        return items if flattened else f"<{name}>{items}</{name}>"
    return f"<{name}>{_text(str(value))}</{name}>"


def _text(value: str) -> str:
    """Text as XML 1.0 can hold it; what has no form there becomes a question mark."""
    return _NOT_IN_XML.sub("?", escape(value, quote=False))
