"""The contract of ``core.identity.roles.RoleTable``, to be subclassed for each implementation.

Owns what the port's prose promises, case by case. Refuses to know how rows are kept.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelyard.base.errors import AlreadyExists
from modelyard.core.identity.roles import Role, RoleTable

ROLE = Role("made", "AROA1", "/service-role/", '{"Statement": []}', 100.0, {"Tags": [{"Key": "a", "Value": "b"}]})


class RoleTableContract:
    """Inherit as ``class TestMine(RoleTableContract)``."""

    @pytest.fixture
    def table(self) -> RoleTable:
        raise NotImplementedError

    def test_a_role_is_read_as_it_was_added(self, table: RoleTable) -> None:
        assert table.get("made") is None
        table.add(ROLE)
        assert table.get("made") == ROLE
        assert table.get("Made") is None

    def test_a_living_role_keeps_its_name(self, table: RoleTable) -> None:
        table.add(ROLE)
        with pytest.raises(AlreadyExists):
            table.add(replace(ROLE, id="AROA2"))
        assert table.get("made") == ROLE

    def test_a_deleted_role_stays_marked_until_another_takes_its_name(self, table: RoleTable) -> None:
        table.add(ROLE)
        table.bury(ROLE, 200.0)
        assert table.get("made") == replace(ROLE, deleted=200.0)
        other = replace(ROLE, id="AROA2", created=300.0)
        table.add(other)
        assert table.get("made") == other

    def test_a_role_is_put_as_it_becomes(self, table: RoleTable) -> None:
        table.add(ROLE)
        changed = replace(ROLE, attached=("arn:b", "arn:a"), inline={"own": "{}"}, document={})
        table.put(changed)
        assert table.get("made") == changed
        table.put(replace(ROLE, name="new"))
        assert table.get("new") == replace(ROLE, name="new")

    def test_the_living_are_those_not_deleted(self, table: RoleTable) -> None:
        for name in ("b", "a", "c"):
            table.add(replace(ROLE, name=name))
        table.bury(replace(ROLE, name="c"), 200.0)
        assert sorted(role.name for role in table.living()) == ["a", "b"]

    def test_a_role_that_was_never_added_can_be_buried(self, table: RoleTable) -> None:
        table.bury(ROLE, 200.0)
        table.bury(ROLE, 201.0)
        assert table.get("made") == replace(ROLE, deleted=201.0)
