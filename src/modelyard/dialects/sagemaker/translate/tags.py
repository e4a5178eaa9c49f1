"""Tags as lists of Key and Value.

Owns the two forms, and the refusal of keys that the service reserves. Refuses to know limits: core.models.tags has
them (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Tag.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelyard.dialects.sagemaker.errors import refused


def tags_in(entries: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """The tags of a request. Raises ValidationException for a key that is there twice or begins with ``aws:``."""
    tags: dict[str, str] = {}
    for entry in entries or ():
        key = entry["Key"]
        if key in tags:
            raise refused(f"Duplicate tag key: {key}. Each tag key must be there once.")
        if key.lower().startswith("aws:"):
            raise refused(f"Tag key {key}: keys that begin with aws: are reserved for system use.")
        tags[key] = entry["Value"]
    return tags


def tags_out(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The tags of an answer."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
