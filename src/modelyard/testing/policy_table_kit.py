"""The contract of ``core.identity.policies.PolicyTable``, to be subclassed for each implementation.

Owns what the port's prose promises, case by case. Refuses to know how rows are kept.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelyard.base.errors import AlreadyExists
from modelyard.core.identity.policies import Policy, PolicyTable, PolicyVersion

FIRST, SECOND = PolicyVersion("v1", '{"Statement": []}', 100.0), PolicyVersion("v2", "{}", 200.0)
POLICY = Policy("made", "ANPA1", "/a/", 100.0, 100.0, "v1", (FIRST,), 1, {"Description": "d"})


class PolicyTableContract:
    """Inherit as ``class TestMine(PolicyTableContract)``."""

    @pytest.fixture
    def table(self) -> PolicyTable:
        raise NotImplementedError

    def test_a_policy_is_read_as_it_was_added(self, table: PolicyTable) -> None:
        assert table.get("made") is None
        table.add(POLICY)
        assert table.get("made") == POLICY

    def test_a_name_is_taken_once(self, table: PolicyTable) -> None:
        table.add(POLICY)
        with pytest.raises(AlreadyExists):
            table.add(replace(POLICY, id="ANPA2"))
        assert table.get("made") == POLICY

    def test_a_policy_is_put_as_it_becomes(self, table: PolicyTable) -> None:
        table.add(POLICY)
        changed = replace(POLICY, versions=(FIRST, SECOND), made=2, counts="v2", updated=200.0)
        table.put(changed)
        assert table.get("made") == changed

    def test_a_policy_is_removed_once(self, table: PolicyTable) -> None:
        table.add(POLICY)
        assert table.remove("made")
        assert not table.remove("made")
        assert table.get("made") is None
