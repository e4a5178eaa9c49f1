"""Every member that botocore lets a client send is acted on, kept or refused, and the documented table says which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.model import ListShape, Shape, StructureShape

from modelyard.dialects.aws.protocol.models import service_model
from modelyard.dialects.sagemaker.fields import FIELDS, table

OPERATIONS = sorted({field.operation for field in FIELDS})
PAGE = Path(__file__).parents[4] / "docs" / "sagemaker.md"


def test_the_table_is_of_all_operations_that_make_or_change_something() -> None:
    from modelyard.dialects.aws.protocol import AwsService
    from modelyard.dialects.sagemaker.routes import OPERATIONS as CLASSES

    service = AwsService("sagemaker")
    for operations in CLASSES:
        operations(None).register(service)  # type: ignore[arg-type]
    changing = {name for name in service.operations if name.startswith(("Create", "Update"))}
    assert set(OPERATIONS) == changing


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_member_has_one_fate(operation: str) -> None:
    shape = service_model("sagemaker").operation_model(operation).input_shape
    paths = [field.path for field in FIELDS if field.operation == operation]
    assert len(set(paths)) == len(paths)
    members = set(_members(shape))
    inner = {path.rpartition(".")[0] for path in paths} | {""}
    assert {path for path in paths if path not in members} == set()
    uncovered = {path for path in members if not _covered(path, paths) and not _opened(path, paths)}
    assert uncovered == set(), inner


def _members(shape: Shape, prefix: str = "", seen: tuple[str, ...] = ()) -> Iterator[str]:
    while isinstance(shape, ListShape):
        shape = shape.member
    if not isinstance(shape, StructureShape) or shape.name in seen:
        return
    for name, member in shape.members.items():
        yield prefix + name
        yield from _members(member, f"{prefix}{name}.", (*seen, shape.name))


def _covered(path: str, paths: list[str]) -> bool:
    return any(path == known or path.startswith(f"{known}.") for known in paths)


def _opened(path: str, paths: list[str]) -> bool:
    """Whether the table says what becomes of its parts."""
    return any(known.startswith(f"{path}.") for known in paths)


def test_the_page_holds_the_table() -> None:
    assert table() in PAGE.read_text()
