"""Moves jobs towards their end: one level-triggered pass after another over what table and runner say.

Owns leases, admission, writing and freeing; the moves are in moves.py. What several jobs need written at the same
time is written together: one flush of the disk for all of them. Owns no truth: everything it remembers may be
lost at any point, and any number of controllers may work on one table. Refuses to know SQL and processes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from modelyard.base.changes import Changes
from modelyard.base.clock import Clock
from modelyard.base.errors import LeaseLost, ModelyardError, NotFound
from modelyard.base.ids import Ids
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.held import Held
from modelyard.core.jobs.moves import Mover, Write
from modelyard.core.jobs.outcomes import PREPARING
from modelyard.core.jobs.scheduling import choose
from modelyard.core.jobs.states import TERMINAL
from modelyard.core.jobs.table import Claim, JobTable, Move, Superseded

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: how long a lease lasts, how often it is renewed, how long a job rests after an unexpected error,
    and how often what others left behind is freed."""

    lease: float = 3.0
    renew: float = 1.0
    rest: float = 1.0
    sweep: float = 5.0


class JobController:
    """What makes an attempt run once: its record is written before it may start, at most one is active, and it is over
    only when the runner says so for good; one that never started is sealed first (ports.py).

    For one thread: call ``step`` again and again. ``executor`` runs the long work, with as many threads as
    jobs may be staged or collected at once. ``on_error`` gets what no one foresaw; the job rests and is tried
    again."""

    def __init__(
        self,
        table: JobTable,
        work: AttemptWork,
        ids: Ids,
        clock: Clock,
        changes: Changes,
        executor: Executor,
        pace: Pace | None = None,
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> None:
        self.owner = ids.new_id()
        self._table = table
        self._work = work
        self._clock = clock
        self._changes = changes
        self._executor = executor
        self._pace = pace or Pace()
        self._on_error = on_error or _report
        self._mover = Mover(table, work, ids, clock, self._submit)
        self._held: dict[str, Held] = {}
        self._stray: dict[str, Future[Any]] = {}
        self._freed: list[str] = []
        self._renewed = self._swept = clock.monotonic()
        self._admits = True

    def step(self) -> None:
        """One pass: renew, take what is free, move every job as far as it goes now, free what ended."""
        self._renew()
        self._refresh()
        self._take()
        moving = list(self._held.values())
        while moving:
            wanted = [(held, write) for held in moving if (write := self._next_write(held)) is not None]
            moving = self._write(wanted)
        self._sweep()

    def drain(self) -> bool:
        """Admit no more jobs and ask those that run to stop; whether all have ended. Go on calling ``step`` and
        this until then. Queued jobs stay queued for the next start."""
        self._admits = False
        for held in list(self._held.values()):
            if not held.job.stop_requested:
                self._ask_to_stop(held)
        return not self._held

    def close(self) -> None:
        """Let go of every lease at once; running attempts go on without us and are adopted by the next."""
        leases = [held.claim.lease for held in self._held.values()]
        self._held.clear()
        if leases:
            self._table.release(leases)

    def _renew(self) -> None:
        now = self._clock.monotonic()
        if not self._held or now - self._renewed < self._pace.renew:
            return
        leases = self._table.renew([held.claim.lease for held in self._held.values()], self._pace.lease)
        self._renewed = now
        for job_id, held in list(self._held.items()):
            if job_id in leases:
                held.claim = replace(held.claim, lease=leases[job_id])
            else:
                self._drop(held)

    def _refresh(self) -> None:
        """Take up what was changed without our lease: a stop that was asked for."""
        stamps = self._table.stamps(self._held) if self._held else {}
        for job_id, held in list(self._held.items()):
            if job_id not in stamps:
                self._drop(held)
            elif stamps[job_id] != held.job.modified:
                self._reload(held)

    def _reload(self, held: Held) -> None:
        try:
            held.claim = replace(held.claim, job=self._table.get(held.job.id))
        except NotFound:
            self._drop(held)

    def _take(self) -> None:
        """Adopt jobs that nobody moves, then admit as many queued ones as there is room for."""
        self._stray = {job_id: work for job_id, work in self._stray.items() if not work.done()}
        room = self._work.capacity.jobs
        known = {*self._held, *self._stray}
        self._hold(self._table.claim(self.owner, self._pace.lease, room, known))
        if self._admits:
            fits = partial(choose, self._work.capacity)
            self._hold(self._table.admit(self.owner, self._pace.lease, room, fits, PREPARING))

    def _hold(self, claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            self._held[claim.job.id] = Held(claim)
        if claims:
            self._changes.tell()

    def _next_write(self, held: Held) -> Write | None:
        """Make every move that can be made now; the write that the next one waits for."""
        if self._clock.monotonic() < held.rest_until:
            return None
        try:
            while True:
                move = self._stops_staging(held) or self._mover.move(held)
                if isinstance(move, Write):
                    return move
                if not move:
                    return None
        except Exception as error:  # noqa: BLE001 - the edge of one job: its trouble must not hold up the others
            self._rest(held, error)
        return None

    def _write(self, wanted: list[tuple[Held, Write]]) -> list[Held]:
        """All in one transaction; whose moves go on. Whoever lost the lease lets go; nothing of theirs was written."""
        if not wanted:
            return []
        try:
            outcomes = self._table.advance([Move(held.claim.lease, write.change) for held, write in wanted])
        except Exception as error:  # noqa: BLE001 - as above
            if len(wanted) > 1:  # whose trouble it is shows when each is alone
                return [held for one in wanted for held in self._write([one])]
            self._rest(wanted[0][0], error)
            return []
        self._changes.tell()
        return [
            held for (held, write), outcome in zip(wanted, outcomes, strict=True) if self._goes_on(held, write, outcome)
        ]

    def _goes_on(self, held: Held, write: Write, outcome: Claim | ModelyardError) -> bool:
        try:
            if isinstance(outcome, Superseded):
                self._reload(held)
            elif isinstance(outcome, LeaseLost):
                self._drop(held)
            elif isinstance(outcome, ModelyardError):
                raise outcome
            else:
                held.claim = outcome
                write.then()
                if held.job.state in TERMINAL:
                    self._drop(held)
                    self._free(held.job.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._rest(held, error)
        return held.job.id in self._held

    def _rest(self, held: Held, error: Exception) -> None:
        held.rest_until = self._clock.monotonic() + self._pace.rest
        self._on_error(held.job.name, error)

    def _stops_staging(self, held: Held) -> bool:
        """A stop does not wait for staging to finish: the seal makes its result harmless."""
        if held.work is None or held.kind != "begin" or held.work.done() or not held.job.stop_requested:
            return False
        self._stray[held.job.id] = held.work
        held.work, held.launched = None, None
        return True

    def _drop(self, held: Held) -> None:
        """Forget a job; while work of ours on it is still under way it is not taken again."""
        self._held.pop(held.job.id, None)
        if held.work is not None and not held.work.done():
            self._stray[held.job.id] = held.work

    def _ask_to_stop(self, held: Held) -> None:
        try:
            self._table.request_stop(held.job.id, f"Stopping the {held.job.kind} job: the server ends")
        except ModelyardError:
            return  # it ended by itself meanwhile; the next pass sees it
        self._reload(held)

    def _free(self, job_id: str) -> None:
        if job_id in self._stray:
            return
        self._stray[job_id] = self._submit(partial(self._tidy, job_id))

    def _tidy(self, job_id: str) -> None:
        try:
            self._work.tidy(job_id, self._table.attempts(job_id))
            self._freed.append(job_id)
        except (ModelyardError, OSError) as error:
            self._on_error(job_id, error)

    def _sweep(self) -> None:
        """Note what was freed; free what a controller that died left: attempts of ended jobs, folders of deleted."""
        freed, self._freed = self._freed, []
        if freed:
            self._table.mark_tidy(freed)
        now = self._clock.monotonic()
        if now - self._swept < self._pace.sweep:
            return
        self._swept = now
        for job in self._table.untidy(10, self._table.now() - self._pace.sweep):
            self._free(job.id)
        kept = [job_id for job_id in self._work.folders.kept() if job_id not in self._stray]
        known = self._table.stamps(kept) if kept else {}
        for job_id in kept:
            if job_id not in known:
                self._work.folders.remove(job_id)

    def _submit(self, task: Callable[[], Any]) -> Future[Any]:
        work = self._executor.submit(task)
        work.add_done_callback(lambda _done: self._changes.tell())
        return work


def _report(name: str, error: Exception) -> None:
    _log.error("job %s: %s; it is tried again", name, error, exc_info=error)
