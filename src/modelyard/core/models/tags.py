"""Tags on core objects: at most fifty keys each, whichever noun the object is.

Owns the limit. Refuses to know ARNs: a dialect finds the object and hands its id
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelyard.core.models.ports import TagTable

MAX_TAGS = 50


class TagService:
    """Thread-safe. Keys keep the order in which they were first set."""

    def __init__(self, table: TagTable) -> None:
        self._table = table

    def add(self, object_id: str, tags: Mapping[str, str]) -> Mapping[str, str]:
        """Set these keys; all of the object's tags after it. Raises LimitExceeded past fifty, changing nothing."""
        return self._table.add(object_id, tags, MAX_TAGS)

    def list(self, object_id: str) -> Mapping[str, str]:
        """The object's tags; none for an object that has none or does not exist."""
        return self._table.list(object_id)

    def remove(self, object_id: str, keys: Iterable[str]) -> None:
        """End these keys; a key that is not there is no error."""
        self._table.remove(object_id, keys)
