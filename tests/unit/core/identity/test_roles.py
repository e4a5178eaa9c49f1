"""The law of roles: every name answers as one that SageMaker may assume, until it is deleted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.base.errors import AlreadyExists, Conflict, NotFound
from modelyard.base.ids import CountedIds
from modelyard.core.identity.model import InUse
from modelyard.core.identity.roles import Role, RoleService


class FakeRoles:
    def __init__(self) -> None:
        self.rows: dict[str, Role] = {}

    def get(self, name: str) -> Role | None:
        return self.rows.get(name)

    def add(self, role: Role) -> None:
        if role.name in self.rows and self.rows[role.name].deleted is None:
            raise AlreadyExists(kind="role", name=role.name)
        self.rows[role.name] = role

    def put(self, role: Role) -> None:
        self.rows[role.name] = role

    def living(self) -> tuple[Role, ...]:
        return tuple(role for role in self.rows.values() if role.deleted is None)

    def bury(self, role: Role, at: float) -> None:
        self.rows[role.name] = replace(role, deleted=at)


@pytest.fixture
def roles() -> RoleService:
    return RoleService(FakeRoles(), SteppedClock(), CountedIds(), "Default")


@pytest.mark.parametrize("name", ["Default", "Anything"])
def test_a_role_nobody_made_may_be_assumed_by_sagemaker(roles: RoleService, name: str) -> None:
    [statement] = json.loads(roles.get(name).trust)["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_a_made_role_is_itself(roles: RoleService) -> None:
    made = roles.create("mine", "/a/", "{}", {"Description": "d"})
    assert roles.get("mine") == made
    assert made.id.startswith("AROA")
    with pytest.raises(AlreadyExists):
        roles.create("mine", "/", "{}", {})


def test_a_deleted_role_stays_deleted_until_it_is_made_again(roles: RoleService) -> None:
    for name in ("made", "never made"):
        roles.delete(name)
        with pytest.raises(NotFound):
            roles.get(name)
        with pytest.raises(NotFound):
            roles.delete(name)
    assert roles.create("made", "/", "{}", {}) == roles.get("made")


def test_the_default_role_is_neither_made_nor_deleted(roles: RoleService) -> None:
    with pytest.raises(Conflict):
        roles.delete("Default")
    with pytest.raises(AlreadyExists):
        roles.create("Default", "/", "{}", {})


def test_a_role_with_policies_stays(roles: RoleService) -> None:
    for change in ({"attached": ("arn:a",)}, {"inline": {"own": "{}"}}):
        roles.change("held", lambda role, change=change: replace(role, **change))
        with pytest.raises(InUse):
            roles.delete("held")
        roles.change("held", lambda role: replace(role, attached=(), inline={}))
    roles.delete("held")
    with pytest.raises(NotFound):
        roles.change("held", lambda role: role)


def test_the_holders_of_a_policy_are_the_living_roles_that_have_it(roles: RoleService) -> None:
    for name in ("a", "b"):
        roles.change(name, lambda role: replace(role, attached=("arn:p",)))
    roles.change("b", lambda role: replace(role, attached=()))
    roles.delete("b")
    assert [role.name for role in roles.holders("arn:p")] == ["a"]


def test_the_id_of_a_role_outlives_it(roles: RoleService) -> None:
    made = roles.create("mine", "/", "{}", {})
    roles.delete("mine")
    assert roles.id_of("mine") == made.id
    assert roles.id_of("nobody's").startswith("AROA")
