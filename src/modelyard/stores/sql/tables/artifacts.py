"""The tables of artifacts: buckets, objects, uploads and blobs.

Owns columns and indexes, as the migrations make them. Refuses to know S3's rules; keys are bytes so that every
database orders them as S3 does.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from modelyard.stores.sql.tables.metadata import metadata

buckets = Table(
    "buckets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("region", String(64), nullable=False),
    Column("created", Double, nullable=False),
    Column("tags", Text),
)

objects = Table(
    "objects",
    metadata,
    Column("bucket", String(63), ForeignKey("buckets.name"), primary_key=True),
    Column("key", LargeBinary(1024), primary_key=True),
    Column("generation", String(36), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(40), nullable=False),
    Column("modified", Double, nullable=False),
    Column("headers", Text),
    Column("metadata", Text),
    Column("tags", Text),
    Column("checksum_type", String(16)),
    Column("checksums", Text),
    Column("parts", Text),
    Column("data", LargeBinary),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("bucket", String(63), ForeignKey("buckets.name"), nullable=False),
    Column("key", LargeBinary(1024), nullable=False),
    Column("created", Double, nullable=False),
    Column("headers", Text),
    Column("metadata", Text),
    Column("tags", Text),
    Column("algorithm", String(16)),
    Column("checksum_type", String(16)),
    Index("ix_uploads_bucket_key_id", "bucket", "key", "id"),
)

parts = Table(
    "parts",
    metadata,
    Column("upload", String(36), ForeignKey("uploads.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(40), nullable=False),
    Column("modified", Double, nullable=False),
    Column("checksums", Text),
)

segments = Table(
    "segments",
    metadata,
    Column("owner", String(48), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("blob", String(36), nullable=False, index=True),
    Column("start", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
)
