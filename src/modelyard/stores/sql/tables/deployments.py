"""The tables of deployments: configurations, endpoints, the workers behind them.

Owns columns and indexes, as the migrations make them. Refuses to know what a state means.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Double, Index, Integer, String, Table, Text

from modelyard.stores.sql.tables.metadata import metadata

endpoint_configs = Table(
    "endpoint_configs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("folded", String(63), nullable=False, unique=True),
    Column("door", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("variants", JSON, nullable=False),
    Column("document", JSON, nullable=False),
    Column("created", Double, nullable=False),
    Column("modified", Double, nullable=False),
    Index("ix_endpoint_configs_created", "created", "id"),
    Index("ix_endpoint_configs_name", "name", "id"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("folded", String(63), nullable=False, unique=True),
    Column("door", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("config_name", String(63), nullable=False),
    Column("state", String(32), nullable=False),
    Column("created", Double, nullable=False),
    Column("modified", Double, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("plan", JSON),
    Column("target", JSON),
    Column("failure_reason", Text),
    Column("document", JSON, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_token", Integer, nullable=False),
    Column("lease_until", Double, nullable=False),
    Index("ix_endpoints_created", "created", "id"),
    Index("ix_endpoints_modified", "modified", "id"),
    Index("ix_endpoints_name", "name", "id"),
    Index("ix_endpoints_state", "state", "id"),
)

endpoint_workers = Table(
    "endpoint_workers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("endpoint_id", String(36), nullable=False, index=True),
    Column("variant", String(63), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("reason", Text, nullable=False),
)
