"""The table of models.

Owns columns and indexes, as the migrations make them. Refuses to know what containers and documents hold.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Index, String, Table

from modelyard.stores.sql.tables.columns import label, made
from modelyard.stores.sql.tables.metadata import metadata

models = Table(
    "models",
    metadata,
    Column("id", String(36), primary_key=True),
    label("name"),
    label("folded", unique=True),
    *made(),
    Column("containers", JSON, nullable=False),
    Column("network", Boolean, nullable=False),
    Index("ix_models_created", "created", "id"),
    Index("ix_models_modified", "modified", "id"),
    Index("ix_models_name", "name", "id"),
)
