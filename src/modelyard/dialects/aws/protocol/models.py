"""botocore's models of AWS services: the authority on operations and shapes, read at run time from its data files.

Owns the reading: https://smithy.io and botocore's docs name the fields. Its Python is not imported: that takes
20 MB for what a client needs, and its parsed models keep every text of the documentation. Of a service only what
operations in use can reach is kept. Refuses to change models: what a service accepts beyond its own is an
operation's ``Overlay``.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

_TEXT = rb'"documentation":"(?:[^"\\]|\\.)*"'
_DOCUMENTATION = re.compile(_TEXT + rb"\s*,|,\s*" + _TEXT)
_MISSING = "botocore has no model of the service"
_MEMBERS = ("member", "key", "value")
_KINDS: dict[str, type[Shape]]

Raw = dict[str, Any]


class Shape:
    """A type, with the traits of the member that refers to it laid over its own.

    ``metadata`` has constraints (min, max, pattern, enum, required, sensitive ...) and ``serialization`` the rest
    of what wires must know, with the member's name there as ``name``; both may hold more than these.
    """

    def __init__(self, name: str, raw: Raw, shapes: Mapping[str, Raw]) -> None:
        self.name = name
        self.type_name = str(raw["type"])
        self._raw = raw
        self._shapes = shapes

    @property
    def metadata(self) -> Raw:
        return self._raw

    @cached_property
    def serialization(self) -> Raw:
        raw = self._raw
        return {**raw, "name": raw["locationName"]} if "locationName" in raw else raw

    @property
    def enum(self) -> list[str]:
        return list(self._raw.get("enum", ()))

    def _refer(self, reference: Raw) -> Shape:
        return shape_of(reference, self._shapes)


class StructureShape(Shape):
    """A structure. One of free form (``is_document_type``) has no members."""

    @property
    def required_members(self) -> list[str]:
        return list(self._raw.get("required", ()))

    @property
    def is_document_type(self) -> bool:
        return bool(self._raw.get("document"))

    @cached_property
    def members(self) -> dict[str, Shape]:
        return {name: self._refer(reference) for name, reference in self._raw.get("members", {}).items()}


class ListShape(Shape):
    """A list of ``member``."""

    @cached_property
    def member(self) -> Shape:
        return self._refer(self._raw["member"])


class MapShape(Shape):
    """A map from ``key`` to ``value``."""

    @cached_property
    def key(self) -> Shape:
        return self._refer(self._raw["key"])

    @cached_property
    def value(self) -> Shape:
        return self._refer(self._raw["value"])


_KINDS = {"structure": StructureShape, "list": ListShape, "map": MapShape}


def shape_of(reference: Raw, shapes: Mapping[str, Raw]) -> Shape:
    """The shape that ``{"shape": NAME, trait ...}`` refers to."""
    name = reference["shape"]
    raw = {**shapes[name], **{trait: value for trait, value in reference.items() if trait != "shape"}}
    return _KINDS.get(raw["type"], Shape)(name, raw, shapes)


class OperationModel:
    """One operation. A shape of input or output is None where there is none."""

    def __init__(self, name: str, raw: Raw, service: ServiceModel, shapes: Mapping[str, Raw]) -> None:
        self.name = name
        self.service_model = service
        self._raw = raw
        self._shapes = shapes

    @property
    def metadata(self) -> Raw:
        """The service's."""
        return self.service_model.metadata

    @cached_property
    def input_shape(self) -> StructureShape | None:
        return _structure(self._raw.get("input"), self._shapes)

    @cached_property
    def output_shape(self) -> StructureShape | None:
        return _structure(self._raw.get("output"), self._shapes)


def _structure(reference: Raw | None, shapes: Mapping[str, Raw]) -> StructureShape | None:
    shape = shape_of(reference, shapes) if reference else None
    assert shape is None or isinstance(shape, StructureShape)
    return shape


class ServiceModel:
    """One service; botocore calls it ``service_name``."""

    def __init__(self, service_name: str) -> None:
        self.service_name = service_name
        self._document: Raw | None = _read(service_name)
        self.metadata: Raw = self._document["metadata"]
        self.operation_names = frozenset(self._document["operations"])
        self._operations: dict[str, OperationModel] = {}
        self._kept: dict[str, Raw] = {}

    @property
    def signing_name(self) -> str:
        return str(self.metadata.get("signingName") or self.metadata["endpointPrefix"])

    @property
    def shape_names(self) -> list[str]:
        return list(self._whole()["shapes"])

    def shape_for(self, name: str) -> Shape:
        """Raises KeyError."""
        return shape_of({"shape": name}, self._whole()["shapes"])

    def operation_model(self, name: str) -> OperationModel:
        """Raises KeyError."""
        if name not in self._operations:
            whole = self._whole()
            raw = {part: dict(ref) for part, ref in whole["operations"][name].items() if part in ("input", "output")}
            for reference in raw.values():
                self._keep(reference["shape"], whole["shapes"])
            self._operations[name] = OperationModel(name, raw, self, self._kept)
        return self._operations[name]

    def forget_rest(self) -> None:
        """Let go of what no operation that was asked for reaches; it is read again should one be."""
        if self._document is None:
            return
        # What is kept lies scattered among what goes, and would hold its memory: it is made anew.
        packed = orjson.dumps([self._kept, self.metadata])
        self._document = None
        self._kept.clear()
        kept, self.metadata = orjson.loads(packed)
        self._kept.update(kept)

    def _whole(self) -> Raw:
        if self._document is None:
            self._document = _read(self.service_name)
        return self._document

    def _keep(self, name: str, shapes: Mapping[str, Raw]) -> None:
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name not in self._kept:
                self._kept[name] = shapes[name]
                waiting += _referred(shapes[name])


def _referred(raw: Raw) -> Iterator[str]:
    for member in raw.get("members", {}).values():
        yield member["shape"]
    for part in _MEMBERS:
        if part in raw:
            yield raw[part]["shape"]


@cache
def service_model(name: str) -> ServiceModel:
    """The newest model of a service by botocore's name for it. Raises LookupError."""
    return ServiceModel(name)


def _read(name: str) -> Raw:
    spec = find_spec("botocore")
    folders = spec.submodule_search_locations if spec is not None else None
    versions = sorted(Path(folder, "data", name) for folder in folders or ())
    found = sorted(path for folder in versions for path in folder.glob("*/service-2.json*"))
    if not found:
        raise LookupError(f"{_MISSING} {name!r}")
    document: Raw = orjson.loads(_DOCUMENTATION.sub(b"", _unpacked(found[-1])))
    return document


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
