"""The table of jobs on SQLite keeps its contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.core.jobs.table import JobTable
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.jobs import SqlJobTable
from modelyard.testing.job_table_kit import JobTableContract


class TestSqliteJobTable(JobTableContract):
    @pytest.fixture
    def clock(self) -> SteppedClock:
        return SteppedClock()

    @pytest.fixture
    def table(self, tmp_path: Path, clock: SteppedClock) -> Iterator[SqlJobTable]:
        database = Database(f"sqlite:///{tmp_path / 'catalogue.db'}")
        database.migrate()
        self.clock = clock
        yield SqlJobTable(database, clock)
        database.close()

    def pass_time(self, table: JobTable, seconds: float) -> None:
        self.clock.step(seconds)
