"""The table of keys: those that sign, bearer tokens and sessions.

Owns columns and indexes, as the migrations make them. Refuses to know what a key may do.
"""

from __future__ import annotations

from sqlalchemy import Column, Double, LargeBinary, String, Table

from modelyard.stores.sql.tables.metadata import metadata

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(256), nullable=False),
    Column("principal", String(64), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, index=True),
    Column("sealed", LargeBinary),
    Column("digest", String(64), index=True),
    Column("owner", String(64), index=True),
)
