"""A remembered answer is given only while nobody has committed anything."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from modelyard.base.clock import SystemClock
from modelyard.base.errors import NotFound
from modelyard.base.ids import RandomIds
from modelyard.base.paging import Listing
from modelyard.core.models.model import ModelContainer, NewModel
from modelyard.core.models.service import ModelService
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.models import SqlModelTable
from modelyard.stores.sql.remembered import Remembered


def open_database(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder}/catalogue.db")
    database.migrate()
    return database


def service(database: Database) -> ModelService:
    return ModelService(SqlModelTable(database), SystemClock(), RandomIds())


def new(name: str) -> NewModel:
    return NewModel("sagemaker", "us-east-1", (ModelContainer("image"),), {}, name=name)


def test_an_answer_is_read_once_until_something_is_committed(tmp_path: Path) -> None:
    ours, theirs = open_database(tmp_path), open_database(tmp_path)
    remembered, reads = Remembered(ours), iter(range(100))
    assert [remembered.get("a", lambda: next(reads)) for _ in range(3)] == [0, 0, 0]
    assert remembered.get("b", lambda: next(reads)) == 1
    for number, database in enumerate((ours, theirs), 2):
        with database.write() as connection:
            connection.execute(text(f"CREATE TABLE t{number} (x)"))
        assert [remembered.get("a", lambda: next(reads)) for _ in range(2)] == [number, number]


def test_what_was_undone_or_failed_is_not_remembered(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    remembered = Remembered(database)
    with pytest.raises(ZeroDivisionError):
        remembered.get("a", lambda: 1 // 0)
    assert remembered.get("a", lambda: 5) == 5


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    remembered = Remembered(open_database(tmp_path), limit=3)
    for number in range(10):
        assert remembered.get(number, lambda number=number: number) == number  # type: ignore[misc]
    assert remembered.get(9, lambda: -1) == 9
    assert remembered.get(0, lambda: -1) == -1


def test_what_is_too_large_is_read_each_time(tmp_path: Path) -> None:
    remembered, reads = Remembered(open_database(tmp_path)), iter(range(100))
    assert [remembered.get("a", lambda: next(reads), lambda _: False) for _ in range(3)] == [0, 1, 2]


def test_models_changed_through_another_process_are_seen_at_once(tmp_path: Path) -> None:
    ours, theirs = service(open_database(tmp_path)), service(open_database(tmp_path))
    for _ in range(3):
        with pytest.raises(NotFound):
            ours.get("m")
        theirs.create(new("m"))
        assert ours.get("m").name == "m"
        assert len(ours.list(Listing()).items) == 1
        theirs.delete("m")
        assert ours.list(Listing()).items == ()


def test_a_reader_never_misses_what_was_written_before_it_asked(tmp_path: Path) -> None:
    ours, theirs = service(open_database(tmp_path)), service(open_database(tmp_path))
    missed: list[str] = []
    written: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for name in written[-1:]:
                if not ours.list(Listing(name_contains=name)).items:
                    missed.append(name)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(40):
        (theirs if number % 2 else ours).create(new(f"m-{number}"))
        written.append(f"m-{number}")
    done.set()
    for reader in readers:
        reader.join()
    assert missed == []


def test_every_commit_of_another_process_makes_another_version(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for line in sys.stdin: c.execute(line); print(flush=True)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "catalogue.db")]
    seen = {database.version()}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        statements = ["CREATE TABLE t (x)", *["INSERT INTO t VALUES (1)"] * 50, "UPDATE t SET x = 2", "VACUUM"]
        for statement in statements:
            other.stdin.write(f"{statement}\n")
            other.stdin.flush()
            other.stdout.readline()
            seen.add(database.version())
    assert len(seen) == 1 + len(statements)
    assert None not in seen


def test_a_version_holds_while_nothing_is_committed(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    before = database.version()
    with database.read() as connection:
        connection.execute(text("SELECT count(*) FROM models")).scalar_one()
    with pytest.raises(ZeroDivisionError), database.write():
        raise ZeroDivisionError
    assert database.version() == before


def test_a_database_that_is_closed_leaves_the_locks_of_others(tmp_path: Path) -> None:
    """Closing any descriptor of the index would give up all locks of this process on it."""
    ours, theirs = open_database(tmp_path), open_database(tmp_path)
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    command = [sys.executable, "-c", program, str(tmp_path / "catalogue.db")]
    with theirs.write():
        assert ours.version() is not None
        ours.close()
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "database is locked" in tried.stderr
    theirs.close()
    assert subprocess.run(command, check=False).returncode == 0


def test_a_closed_database_and_one_in_memory_tell_no_version(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    assert database.version() is not None
    database.close()
    assert database.version() is None
    assert Database("sqlite://").version() is None
