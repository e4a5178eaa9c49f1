"""The first tables of identity: keys.

A revision is never edited once released: a later one changes what it made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double()),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("digest", sa.String(64)),
        sa.Column("owner", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    for column in ("expires", "digest", "owner"):
        op.create_index(f"ix_keys_{column}", "keys", [column])
