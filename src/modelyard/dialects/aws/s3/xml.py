"""The little XML that S3 speaks: written from nested values, read without entities.

Owns escaping and the refusal of document types (no entity is ever expanded). Follows the REST API's schemas
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.parsers import expat

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Value = str | int | bool | None | Sequence["Field"]
Field = tuple[str, Value]
"""An element: its name and its text, or its children; None leaves it out."""

_SPECIAL = re.compile(r"[&<>\"\x00-\x1f\x7f]")
_DEPTH = 12


class BadXml(Exception):
    """A body is not well-formed XML, or has a document type."""


@dataclass(slots=True)
class Element:
    """An element that was read; namespaces are left off its name."""

    name: str
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def find(self, name: str) -> Element | None:
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str | None:
        """The text of a child, without surrounding space."""
        child = self.find(name)
        return child.text.strip() if child is not None else None


def document(name: str, fields: Iterable[Field], namespace: bool = True) -> bytes:
    """A whole document.

    >>> document("A", [("B", "x<y"), ("C", None), ("D", [("E", True)])], namespace=False)[39:]
    b'<A><B>x&lt;y</B><D><E>true</E></D></A>'
    """
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    parts.append(f'<{name} xmlns="{NAMESPACE}">' if namespace else f"<{name}>")
    _write(parts, fields)
    parts.append(f"</{name}>")
    return "".join(parts).encode("utf-8", "surrogatepass")


def escape(text: str) -> str:
    """Text as it stands between tags; control characters as references, as S3 writes them."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def read(body: bytes) -> Element:
    """The root element. Raises BadXml."""
    root = Element("")
    open_elements = [root]

    def start(name: str, _attributes: dict[str, str]) -> None:
        if len(open_elements) > _DEPTH:
            raise BadXml("elements are nested too deep")
        element = Element(name.rpartition("|")[2])
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def text(data: str) -> None:
        open_elements[-1].text += data

    def refuse(*_: object) -> None:
        raise BadXml("document types are refused")

    parser = expat.ParserCreate(namespace_separator="|")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: open_elements.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise BadXml(str(error)) from error
    return root.children[0]


def timestamp(seconds: float) -> str:
    """A time as S3's documents have it.

    >>> timestamp(1700000000.5)
    '2023-11-14T22:13:20.500Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _write(parts: list[str], fields: Iterable[Field]) -> None:
    for name, value in fields:
        if value is None:
            continue
        if isinstance(value, str):
            parts.append(f"<{name}>{escape(value)}</{name}>")
        elif isinstance(value, bool):
            parts.append(f"<{name}>{'true' if value else 'false'}</{name}>")
        elif isinstance(value, int):
            parts.append(f"<{name}>{value}</{name}>")
        else:
            parts.append(f"<{name}>")
            _write(parts, value)
            parts.append(f"</{name}>")


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "\n", "\t": "\t"}
    return named.get(character) or f"&#{ord(character)};"
