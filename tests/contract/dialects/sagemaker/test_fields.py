"""Every member that botocore lets a client send is acted on, kept or refused, and the documented table says which."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from modelyard.base.errors import ModelyardError
from modelyard.core.models.tags import MAX_TAGS
from modelyard.dialects import sagemaker
from modelyard.dialects.aws.protocol import AwsError, AwsService, Call
from modelyard.dialects.aws.protocol.models import ListShape, Shape, StructureShape, service_model
from modelyard.dialects.sagemaker.fields import FIELDS, table
from modelyard.dialects.sagemaker.routes import sagemaker_service
from modelyard.dialects.sagemaker.services import services_of

from .conftest import ACCOUNT, Bench, model_request

FOLDER = Path(sagemaker.__path__[0])
OPERATIONS = sorted({field.operation for field in FIELDS})
PAGE = Path(__file__).parents[4] / "docs" / "sagemaker.md"


def test_the_table_is_of_all_operations_that_make_or_change_something(service: AwsService) -> None:
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


def test_what_is_said_to_be_acted_on_is_named_in_the_code() -> None:
    named = {
        node.value
        for path in FOLDER.rglob("*.py")
        if path.name != "fields.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    acted = [field for field in FIELDS if field.fate == "acted"]
    assert [field for field in acted if field.path.rpartition(".")[2] not in named] == []


class Watched(dict[str, Any]):
    """A request that knows which of its members somebody has looked at."""

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__(members)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.seen.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.seen.add(str(name))
        return super().__contains__(name)


@pytest.fixture(scope="module")
def service(untouched: Bench) -> AwsService:
    return sagemaker_service(services_of(untouched.house))


def test_operations_that_only_read_or_end_something_look_at_every_member(bench: Bench) -> None:
    """What they do with it is tested with each; a member that nobody looks at is ignored silently."""
    service = sagemaker_service(services_of(bench.house))
    bench.sm.create_model(**model_request("x"))
    unseen: dict[str, set[str]] = {}
    for name in sorted(service.operations.keys() - set(OPERATIONS)):
        operation = service.operations[name]
        given = {member: _example(shape) for member, shape in operation.model.input_shape.members.items()}
        seen: set[str] = set()
        for spared in (
            (),
            *((member,) for member in given),
            *combinations(given, 2),
        ):  # some end it before others are seen
            request = Watched({member: value for member, value in given.items() if member not in spared})
            call = Call("sagemaker", name, "eu-west-1", ACCOUNT, None, "request")
            with contextlib.suppress(ModelyardError, AwsError, KeyError):
                answer = operation.function(call, request)
                if inspect.isawaitable(answer):
                    asyncio.run(_awaited(answer))
            seen |= request.seen
        unseen[name] = given.keys() - seen
    assert unseen.pop("ListTags") == {"MaxResults"}
    shape = service.operations["ListTags"].model.input_shape.members["MaxResults"]
    assert shape.metadata["min"] >= MAX_TAGS, "every page of tags holds all there can be"
    assert {name: members for name, members in unseen.items() if members} == {}


async def _awaited(answer: Any) -> Any:
    return await answer


def _example(shape: Shape) -> Any:
    """A value of that shape, as the dispatcher hands it over."""
    if isinstance(shape, ListShape):
        return [_example(shape.member)]
    if isinstance(shape, StructureShape):
        return {name: _example(member) for name, member in shape.members.items()}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model/x"
    return 5
