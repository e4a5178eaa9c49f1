"""The table of IAM roles, deleted ones marked.

Owns columns and indexes, as the migrations make them. Refuses to know that they give no rights.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Double, String, Table, Text

from modelyard.stores.sql.tables.metadata import metadata

iam_roles = Table(
    "iam_roles",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("id", String(32), nullable=False),
    Column("path", String(512), nullable=False),
    Column("trust", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("document", JSON, nullable=False),
    Column("deleted", Double),
    Column("attached", JSON, nullable=False, server_default="[]"),
    Column("inline", JSON, nullable=False, server_default="{}"),
)
