"""The first tables of jobs: jobs, their history, attempts and metrics.

A revision is never edited once released: a later one changes what it made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _jobs()
    _events()
    _attempts()
    _metrics()


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", NUMBER, nullable=False, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("folded", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("door", sa.String(32), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("started", sa.Double()),
        sa.Column("ended", sa.Double()),
        sa.Column("wait_until", sa.Double()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("model_artifact", sa.Text()),
        sa.Column("final_metrics", sa.JSON(), nullable=False),
        sa.Column("cpus", sa.Double(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires", sa.Double()),
        sa.Column("tidy", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
    )
    op.create_index("uq_jobs_kind_folded", "jobs", ["kind", "folded"], unique=True)
    op.create_index("ix_jobs_state", "jobs", ["state", "number"])
    for column in ("created", "modified", "name"):
        op.create_index(f"ix_jobs_{column}", "jobs", [column, "id"])
    op.create_index(
        "ix_jobs_untidy", "jobs", ["ended"], sqlite_where=sa.text("tidy = 0"), postgresql_where=sa.text("NOT tidy")
    )


def _events() -> None:
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double()),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_events"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_events_job_id", ondelete="CASCADE"),
    )


def _attempts() -> None:
    op.create_table(
        "job_attempts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double()),
        sa.Column("outcome", sa.String(16)),
        sa.PrimaryKeyConstraint("id", name="pk_job_attempts"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_attempts_job_id", ondelete="CASCADE"),
    )
    op.create_index("uq_job_attempts_job_id_number", "job_attempts", ["job_id", "number"], unique=True)
    active = sa.text("outcome IS NULL")
    op.create_index(
        "uq_job_attempts_active", "job_attempts", ["job_id"], unique=True, sqlite_where=active, postgresql_where=active
    )


def _metrics() -> None:
    op.create_table(
        "job_metrics",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_metrics"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_metrics_job_id", ondelete="CASCADE"),
    )
