"""The first tables of artifacts: buckets, objects, uploads, blobs.

A revision is never edited once released: a later one changes what it made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _buckets_and_objects()
    _uploads()
    op.create_table(
        "segments",
        sa.Column("owner", sa.String(48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("blob", sa.String(36), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "position", name="pk_segments"),
    )
    op.create_index("ix_segments_blob", "segments", ["blob"])


def _buckets_and_objects() -> None:
    op.create_table(
        "buckets",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("tags", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_buckets"),
    )
    op.create_table(
        "objects",
        sa.Column("bucket", sa.String(63), nullable=False),
        sa.Column("key", sa.LargeBinary(1024), nullable=False),
        sa.Column("generation", sa.String(36), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(40), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("headers", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("tags", sa.Text()),
        sa.Column("checksum_type", sa.String(16)),
        sa.Column("checksums", sa.Text()),
        sa.Column("parts", sa.Text()),
        sa.Column("data", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("bucket", "key", name="pk_objects"),
        sa.ForeignKeyConstraint(["bucket"], ["buckets.name"], name="fk_objects_bucket"),
    )


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("bucket", sa.String(63), nullable=False),
        sa.Column("key", sa.LargeBinary(1024), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("headers", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("tags", sa.Text()),
        sa.Column("algorithm", sa.String(16)),
        sa.Column("checksum_type", sa.String(16)),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.ForeignKeyConstraint(["bucket"], ["buckets.name"], name="fk_uploads_bucket"),
    )
    op.create_index("ix_uploads_bucket_key_id", "uploads", ["bucket", "key", "id"])
    op.create_table(
        "parts",
        sa.Column("upload", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(40), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("checksums", sa.Text()),
        sa.PrimaryKeyConstraint("upload", "number", name="pk_parts"),
        sa.ForeignKeyConstraint(["upload"], ["uploads.id"], name="fk_parts_upload"),
    )
