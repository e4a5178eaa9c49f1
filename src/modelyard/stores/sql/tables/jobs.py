"""The tables of jobs: the job, its history, its attempts and the metric points of ended ones.

Owns columns and indexes, as the migrations make them. Refuses to know what a state means.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Double, ForeignKey, Index, Integer, String, Table, Text, text
from sqlalchemy import BigInteger as Big

from modelyard.stores.sql.tables.columns import label, made
from modelyard.stores.sql.tables.metadata import metadata

Number = Big().with_variant(Integer, "sqlite")

jobs = Table(
    "jobs",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    label("id", 36, unique=True),
    label("name"),
    label("folded"),
    label("kind", 32),
    *made(),
    Column("spec", JSON, nullable=False),
    label("state", 16),
    label("phase", 32),
    Column("started", Double),
    Column("ended", Double),
    Column("wait_until", Double),
    Column("attempt", Integer, nullable=False),
    Column("stop_requested", Boolean, nullable=False),
    Column("failure_reason", Text),
    Column("exit_code", Integer),
    Column("model_artifact", Text),
    Column("final_metrics", JSON, nullable=False),
    Column("cpus", Double, nullable=False),
    Column("memory", Big, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_token", Big, nullable=False),
    Column("lease_expires", Double),
    Column("tidy", Boolean, nullable=False),
    Index("uq_jobs_kind_folded", "kind", "folded", unique=True),
    Index("ix_jobs_state", "state", "number"),
    Index("ix_jobs_created", "created", "id"),
    Index("ix_jobs_modified", "modified", "id"),
    Index("ix_jobs_name", "name", "id"),
    Index("ix_jobs_untidy", "ended", sqlite_where=text("tidy = 0"), postgresql_where=text("NOT tidy")),
)

events = Table(
    "job_events",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    label("phase", 32),
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("message", Text, nullable=False),
)

attempts = Table(
    "job_attempts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("epoch", Big, nullable=False),
    Column("created", Double, nullable=False),
    Column("ended", Double),
    Column("outcome", String(16)),
    Index("uq_job_attempts_job_id_number", "job_id", "number", unique=True),
    Index(
        "uq_job_attempts_active",
        "job_id",
        unique=True,
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
)

points = Table(
    "job_metrics",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    label("name", 255),
    Column("value", Double, nullable=False),
    Column("at", Double, nullable=False),
)
