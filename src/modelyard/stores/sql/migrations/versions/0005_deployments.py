"""The first tables of deployments: configurations, endpoints, workers.

A revision is never edited once released: a later one changes what it made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _named(
        "endpoint_configs",
        sa.Column("variants", sa.JSON(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
    )
    _named(
        "endpoints",
        sa.Column("config_name", sa.String(63), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("plan", sa.JSON()),
        sa.Column("target", sa.JSON()),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
    )
    for table, columns in {
        "endpoint_configs": ("created", "name"),
        "endpoints": ("created", "modified", "name", "state"),
    }.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column, "id"])
    op.create_table(
        "endpoint_workers",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("endpoint_id", sa.String(36), nullable=False),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint_workers"),
    )
    op.create_index("ix_endpoint_workers_endpoint_id", "endpoint_workers", ["endpoint_id"])


def _named(table: str, *columns: sa.Column[object]) -> None:
    """A table of objects with a name that is unique, letter case ignored."""
    op.create_table(
        table,
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("folded", sa.String(63), nullable=False),
        sa.Column("door", sa.String(32), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("folded", name=f"uq_{table}_folded"),
    )
