"""The table of IAM policies, a policy's versions in its row.

Owns columns and indexes, as the migrations make them. Refuses to know that they give no rights.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Double, Integer, String, Table

from modelyard.stores.sql.tables.metadata import metadata

iam_policies = Table(
    "iam_policies",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("id", String(32), nullable=False),
    Column("path", String(512), nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("counts", String(16), nullable=False),
    Column("versions", JSON, nullable=False),
    Column("made", Integer, nullable=False),
    Column("document", JSON, nullable=False),
)
