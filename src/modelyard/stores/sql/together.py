"""Small changes that arrive together share one transaction: one flush of the disk for all of them.

Owns the grouping, nothing of what is changed. Each caller gets its own result or error, as if it had been alone, and
not before the shared transaction is on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection

from modelyard.stores.sql.database import Database

T = TypeVar("T")


class _Ticket(Generic[T]):
    """A change that waits for its transaction."""

    def __init__(self, change: Callable[[Connection], T]) -> None:
        self.change = change
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None
        self.woken = threading.Lock()
        """Held until it is done or its thread shall commit what has gathered; cheaper than an event."""
        self.woken.acquire()


class Together:
    """Thread-safe. Whoever has the turn commits what has gathered while the one before was at it, hands the turn on
    and only then wakes the others: they need not queue for a lock one after another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Ticket[Any]] = []
        self._guard = threading.Lock()
        self._busy = False

    def run(self, change: Callable[[Connection], T]) -> T:
        """The change's result, on disk. ``change`` may be called again, each time in a fresh transaction."""
        ticket = _Ticket(change)
        with self._guard:
            self._waiting.append(ticket)
            leads, self._busy = not self._busy, True
        if not leads:
            ticket.woken.acquire()
            leads = not ticket.done
        if leads:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        return cast(T, ticket.value)

    def _lead(self) -> None:
        with self._guard:
            batch, self._waiting = self._waiting, []
        self._commit(batch)
        with self._guard:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].woken.release()
        for ticket in batch:
            ticket.woken.release()

    def _commit(self, batch: list[_Ticket[Any]]) -> None:
        if len(batch) > 1:
            try:
                with self._database.write() as connection:
                    values = [ticket.change(connection) for ticket in batch]
            except BaseException:  # noqa: BLE001 - whose error it is shows when each is alone
                values = []
            for ticket, value in zip(batch, values, strict=False):
                ticket.value, ticket.done = value, True
        for ticket in batch:
            if not ticket.done:
                self._alone(ticket)

    def _alone(self, ticket: _Ticket[Any]) -> None:
        try:
            with self._database.write() as connection:
                ticket.value = ticket.change(connection)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for it
            ticket.error = error
        ticket.done = True
