"""The tables of notebook instances and of their lifecycle configurations.

Owns columns and indexes, as the migrations make them. Refuses to know what a state means.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Double, String, Table, Text

from modelyard.stores.sql.tables.metadata import metadata

notebooks = Table(
    "notebooks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("door", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("document", JSON, nullable=False),
    Column("created", Double, nullable=False),
    Column("modified", Double, nullable=False),
    Column("lifecycle_config", String(63)),
    Column("repository", String(1024)),
    Column("more_repositories", JSON, nullable=False),
    Column("failure_reason", Text),
)

lifecycle_configs = Table(
    "lifecycle_configs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("door", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("document", JSON, nullable=False),
    Column("created", Double, nullable=False),
    Column("modified", Double, nullable=False),
)
