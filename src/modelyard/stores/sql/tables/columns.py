"""Columns that the tables of several nouns share: what an object is called, and where and when it was made.

Owns their types. Refuses to know keys and indexes, which each table has of its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, Double, String


def label(name: str, length: int = 63, **more: Any) -> Column[str]:
    """A column for something that always has a short text."""
    return Column(name, String(length), nullable=False, **more)


def made() -> tuple[Column[Any], ...]:
    """By which door an object was made, in which region and from which request; when, and when it last changed."""
    return (
        label("door", 32),
        label("region", 32),
        Column("document", JSON, nullable=False),
        Column("created", Double, nullable=False),
        Column("modified", Double, nullable=False),
    )
