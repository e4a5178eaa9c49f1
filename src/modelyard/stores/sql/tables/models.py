"""The table of models.

Owns columns and indexes, as the migrations make them. Refuses to know what containers and documents hold.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Double, Index, String, Table

from modelyard.stores.sql.tables.metadata import metadata

models = Table(
    "models",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("folded", String(63), nullable=False, unique=True),
    Column("door", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("containers", JSON, nullable=False),
    Column("document", JSON, nullable=False),
    Column("network", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    Column("modified", Double, nullable=False),
    Index("ix_models_created", "created", "id"),
    Index("ix_models_modified", "modified", "id"),
    Index("ix_models_name", "name", "id"),
)
