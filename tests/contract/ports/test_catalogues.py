"""Catalogues of artifacts under their contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.core.artifacts.ports import Catalogue
from modelyard.stores.sql.artifacts import SqlCatalogue
from modelyard.stores.sql.database import Database
from modelyard.testing.catalogue_kit import CatalogueKit


class TestSqlite(CatalogueKit):
    @pytest.fixture
    def catalogue(self, tmp_path: Path) -> Iterator[Catalogue]:
        database = Database(f"sqlite:///{tmp_path}/catalogue.db")
        database.migrate()
        yield SqlCatalogue(database)
        database.close()
