"""An artifact service over real files and SQLite: both are quick, and a fake would be the thing that is tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.base.disk import RealDisk
from modelyard.base.ids import RandomIds
from modelyard.core.artifacts.service import ArtifactService
from modelyard.core.artifacts.writing import WriteLimits
from modelyard.stores.objects.files import FileBlobStore
from modelyard.stores.sql.artifacts import SqlCatalogue
from modelyard.stores.sql.database import Database


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path / "blobs", RealDisk(), reserve=0)


@pytest.fixture
def artifacts(tmp_path: Path, blobs: FileBlobStore) -> Iterator[ArtifactService]:
    database = Database(f"sqlite:///{tmp_path}/catalogue.db")
    database.migrate()
    limits = WriteLimits(size=1_000_000, inline=100)
    service = ArtifactService(SqlCatalogue(database), blobs, SteppedClock(), RandomIds(), limits)
    service.create_bucket("data", "us-east-1")
    yield service
    database.close()
