"""The tables of notebook instances and of their lifecycle configurations.

Owns columns and indexes, as the migrations make them. Refuses to know what a state means.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, String, Table, Text

from modelyard.stores.sql.tables.columns import label, made
from modelyard.stores.sql.tables.metadata import metadata

notebooks = Table(
    "notebooks",
    metadata,
    Column("id", String(36), primary_key=True),
    label("name", unique=True),
    *made(),
    label("state", 16),
    Column("lifecycle_config", String(63)),
    Column("repository", String(1024)),
    Column("more_repositories", JSON, nullable=False),
    Column("failure_reason", Text),
)

lifecycle_configs = Table(
    "lifecycle_configs",
    metadata,
    Column("id", String(36), primary_key=True),
    label("name", unique=True),
    *made(),
)
