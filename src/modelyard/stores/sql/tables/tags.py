"""The table of tags: key and value on any core object, by its id.

Owns columns and indexes, as the migrations make them. Refuses to know whether the object exists.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from modelyard.stores.sql.tables.metadata import metadata

tags = Table(
    "tags",
    metadata,
    Column("object_id", String(36), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
    Column("position", Integer, nullable=False),
)
