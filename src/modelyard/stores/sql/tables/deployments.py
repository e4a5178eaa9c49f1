"""The tables of deployments: configurations, endpoints, the workers behind them.

Owns columns and indexes, as the migrations make them. Refuses to know what a state means.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Double, Index, Integer, String, Table, Text

from modelyard.stores.sql.tables.columns import label, made
from modelyard.stores.sql.tables.metadata import metadata

endpoint_configs = Table(
    "endpoint_configs",
    metadata,
    Column("id", String(36), primary_key=True),
    label("name"),
    label("folded", unique=True),
    *made(),
    Column("variants", JSON, nullable=False),
    Index("ix_endpoint_configs_created", "created", "id"),
    Index("ix_endpoint_configs_name", "name", "id"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(36), primary_key=True),
    label("name"),
    label("folded", unique=True),
    *made(),
    label("config_name"),
    label("state", 32),
    Column("generation", Integer, nullable=False),
    Column("plan", JSON),
    Column("target", JSON),
    Column("failure_reason", Text),
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
    label("endpoint_id", 36, index=True),
    label("variant"),
    Column("generation", Integer, nullable=False),
    label("state", 16),
    Column("created", Double, nullable=False),
    Column("reason", Text, nullable=False),
)
