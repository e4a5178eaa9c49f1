"""Changes that share a transaction: each has its own outcome, and a failing one harms no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from modelyard.stores.sql.database import Database
from modelyard.stores.sql.together import Together


class Counted(Database):
    """A database that counts its transactions; the first waits until it is told to go on."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.transactions = 0
        self.go_on = threading.Event()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.transactions += 1
        with super().write() as connection:
            yield connection
            if self.transactions == 1:
                self.go_on.wait(10)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Counted]:
    counted = Counted(f"sqlite:///{tmp_path}/catalogue.db")
    with Database(f"sqlite:///{tmp_path}/catalogue.db").write() as connection:
        connection.execute(text("create table numbers (n integer primary key)"))
    yield counted
    counted.close()


def insert(number: int, fail: bool = False) -> object:
    def change(connection: Connection) -> int:
        connection.execute(text(f"insert into numbers values ({number})"))
        if fail:
            raise LookupError(number)
        return number * 10

    return change


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(text("select n from numbers order by n")))


def run_all(database: Counted, changes: list[object]) -> list[object]:
    """Run the changes so that all but the first gather behind it."""
    together = Together(database)
    with ThreadPoolExecutor(len(changes)) as threads:
        futures = [threads.submit(together.run, changes[0])]  # type: ignore[arg-type]
        while not database.transactions:
            pass
        futures += [threads.submit(together.run, change) for change in changes[1:]]  # type: ignore[arg-type]
        while len(together._waiting) < len(changes) - 1:
            pass
        database.go_on.set()
        return [future.exception() or future.result() for future in futures]


def test_what_gathers_is_one_transaction(database: Counted) -> None:
    assert run_all(database, [insert(n) for n in range(8)]) == [n * 10 for n in range(8)]
    assert numbers(database) == list(range(8))
    assert database.transactions == 2


def test_a_change_that_fails_fails_alone(database: Counted) -> None:
    outcomes = run_all(database, [insert(n, fail=n == 3) for n in range(8)])
    assert [outcome for n, outcome in enumerate(outcomes) if n != 3] == [n * 10 for n in range(8) if n != 3]
    assert isinstance(outcomes[3], LookupError)
    assert numbers(database) == [0, 1, 2, 4, 5, 6, 7]


def test_one_alone_is_its_own_transaction(database: Counted) -> None:
    database.go_on.set()
    assert Together(database).run(insert(1)) == 10  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        Together(database).run(insert(2, fail=True))  # type: ignore[arg-type]
    assert numbers(database) == [1]
