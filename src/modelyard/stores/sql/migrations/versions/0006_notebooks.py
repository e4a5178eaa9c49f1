"""The first tables of notebook instances, their lifecycle configurations, and IAM roles.

A revision is never edited once released: a later one changes what it made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notebooks",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("door", sa.String(32), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("lifecycle_config", sa.String(63)),
        sa.Column("repository", sa.String(1024)),
        sa.Column("more_repositories", sa.JSON(), nullable=False),
        sa.Column("failure_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_notebooks"),
        sa.UniqueConstraint("name", name="uq_notebooks_name"),
    )
    op.create_table(
        "lifecycle_configs",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("door", sa.String(32), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lifecycle_configs"),
        sa.UniqueConstraint("name", name="uq_lifecycle_configs_name"),
    )
    op.create_table(
        "iam_roles",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("trust", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("deleted", sa.Double()),
        sa.PrimaryKeyConstraint("name", name="pk_iam_roles"),
    )
