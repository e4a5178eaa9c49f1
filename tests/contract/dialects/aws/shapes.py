"""Values of any shape of a service model, for properties that must hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from modelyard.dialects.aws.protocol.models import ListShape, MapShape, Shape, StructureShape

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=8)
_MOMENTS = st.integers(0, 4_000_000_000_000).map(
    lambda milliseconds: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
)
_SINGLE: dict[str, st.SearchStrategy[Any]] = {
    "string": _TEXT,
    "character": _TEXT,
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "blob": st.binary(max_size=16),
    "timestamp": _MOMENTS,
}


def values(shape: Shape, least: int = 0, depth: int = 6) -> st.SearchStrategy[Any]:
    """Values as boto3 takes and gives them; a structure has at least one member unless it has none at all, a map
    at least ``least`` entries."""
    if isinstance(shape, StructureShape):
        return st.just("a document") if shape.is_document_type else _structures(shape, least, depth)
    if isinstance(shape, ListShape):
        return st.lists(values(shape.member, least, depth - 1), max_size=2 if depth > 0 else 0)
    if isinstance(shape, MapShape):
        element = values(shape.value, least, depth - 1)
        return st.dictionaries(_TEXT.filter(bool), element, min_size=least, max_size=2 if depth > 0 else least)
    return _SINGLE[shape.type_name]


@st.composite
def _structures(draw: st.DrawFn, shape: StructureShape, least: int, depth: int) -> dict[str, Any]:
    names = [name for name, member in shape.members.items() if depth > 0 or _is_flat(member)]
    if not names:
        return {}
    most = 1 if shape.metadata.get("union") else 4
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True))
    return {name: draw(values(shape.members[name], least, depth - 1)) for name in chosen}


def _is_flat(shape: Shape) -> bool:
    return shape.type_name in _SINGLE


def plain(value: Any) -> Any:
    """A value as our operations see it: moments as epoch seconds."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    return value
