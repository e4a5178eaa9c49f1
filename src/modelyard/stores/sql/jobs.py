"""Jobs in SQL: the port ``core.jobs.table.JobTable``.

Owns the lease checks and that state, history and attempts change in one transaction. Many moves make few
statements, and what several threads write at once shares a flush of the disk (together.py). SQLite takes turns by
its writer lock and the injected clock; PostgreSQL by row locks that skip what is locked, and its own clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection, RowMapping, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from modelyard.base.clock import Clock
from modelyard.base.errors import AlreadyExists, Conflict, LeaseLost, ModelyardError, NotFound
from modelyard.base.paging import Page
from modelyard.core.jobs import states
from modelyard.core.jobs.model import Job, JobQuery, JobState, Metric, Phase
from modelyard.core.jobs.table import (
    Amend,
    AttemptActive,
    AttemptRecord,
    Change,
    Choose,
    Claim,
    Demand,
    Lease,
    Move,
    Superseded,
)
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.job_rows import (
    TICK,
    active_attempts,
    attempt_of,
    followed,
    job_columns,
    jobs_of,
    moved,
    read_job,
    write_attempts,
    write_histories,
    write_jobs,
)
from modelyard.stores.sql.listing import page
from modelyard.stores.sql.tables.jobs import attempts, events, jobs, points
from modelyard.stores.sql.tags import remove_tags, write_tags
from modelyard.stores.sql.together import Together

T = TypeVar("T")

ACTIVE = [state.value for state in states.ACTIVE]
TERMINAL = [state.value for state in states.TERMINAL]

_LEASES = (
    select(jobs.c.id, jobs.c.lease_token, jobs.c.lease_owner, jobs.c.lease_expires)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(jobs.c.number)
)
_LOCKED_LEASES = _LEASES.with_for_update()
_ATTEMPTS = select(attempts).where(attempts.c.job_id == bindparam("job")).order_by(attempts.c.number)

SHOWN_ORDER = case(
    {"succeeded": 0, "failed": 1, "queued": 2, "starting": 2, "running": 2, "stopped": 3, "stopping": 4},
    value=jobs.c.state,
)
"""SageMaker's words in order: Completed, Failed, InProgress, Stopped, Stopping."""


class SqlJobTable:
    """Thread-safe through the database's own transactions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._together = Together(database)
        self._own_time = database.engine.dialect.name != "sqlite"

    def now(self) -> float:
        if not self._own_time:
            return self._clock.now()
        with self._database.read() as connection:
            return self._now(connection)

    def create(self, job: Job, tags: Mapping[str, str], message: str) -> Job:
        def change(connection: Connection) -> Job:
            now = self._now(connection)
            ended = now if job.state in states.TERMINAL else None
            history = followed((), Phase.STARTING, message, now, ends=False)
            if ended is not None:
                history = followed(history, job.phase, job.failure_reason or "", now, ends=True)
            made = replace(job, created=now, modified=now, ended=ended, transitions=history)
            connection.execute(insert(jobs), job_columns(made))
            write_histories(connection, [(job, made)])
            write_tags(connection, job.id, tags)
            return made

        try:
            return self._together.run(change)
        except IntegrityError as error:
            raise AlreadyExists(kind=f"{job.kind} job", name=job.name) from error

    def get(self, job_id: str) -> Job:
        with self._database.read() as connection:
            return _found(read_job(connection, job_id), job_id)

    def find(self, name: str, kind: str) -> Job:
        named = (jobs.c.kind == kind, jobs.c.folded == name.casefold(), jobs.c.name == name)
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).where(*named)).mappings().all()
            return _found(next(iter(jobs_of(connection, rows)), None), name)

    def is_taken(self, name: str, kind: str) -> bool:
        named = and_(jobs.c.kind == kind, jobs.c.folded == name.casefold())
        with self._database.read() as connection:
            return connection.execute(select(jobs.c.number).where(named)).first() is not None

    def list(self, query: JobQuery) -> Page[Job]:
        wanted = {jobs.c.kind: query.kind, jobs.c.door: query.door, jobs.c.region: query.region}
        more = [column == value for column, value in wanted.items() if value is not None]
        with self._database.read() as connection:
            found = page(connection, jobs, query.listing, lambda row: row, more, {"state": SHOWN_ORDER})
            return Page(tuple(jobs_of(connection, found.items)), found.next)

    def stamps(self, job_ids: Iterable[str]) -> Mapping[str, float]:
        query = select(jobs.c.id, jobs.c.modified).where(jobs.c.id.in_(list(job_ids)))
        with self._database.read() as connection:
            return {job_id: modified for job_id, modified in connection.execute(query)}  # noqa: C416

    def request_stop(self, job_id: str, message: str) -> Job:
        def change(connection: Connection) -> Job:
            [job] = jobs_of(connection, [_locked(connection, job_id)])
            if job.state in states.TERMINAL:
                raise Conflict(what=f"job {job.name!r} has ended already: {job.state}")
            if job.stop_requested:
                return job
            states.check(job.name, job.state, JobState.STOPPING, Phase.STOPPING)
            stop = Change(True, JobState.STOPPING, Phase.STOPPING, message)
            stopping = replace(moved(job, stop, self._now(connection)), stop_requested=True)
            write_jobs(connection, [(job, stopping)])
            return stopping

        return self._together.run(change)

    def amend(self, job_id: str, amended: Amend) -> Job:
        def change(connection: Connection) -> Job:
            [job] = jobs_of(connection, [_locked(connection, job_id)])
            modified = max(self._now(connection), job.modified + TICK)
            after = replace(job, document=dict(amended(job)), modified=modified)
            columns = {"document": after.document, "modified": modified}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(columns))
            return after

        return self._together.run(change)

    def delete(self, job_id: str) -> None:
        with self._database.write() as connection:
            row = _locked(connection, job_id)
            if row["state"] not in TERMINAL:
                raise Conflict(what=f"job {row['name']!r} has not ended: it is {row['state']}; stop it first")
            for table in (events, attempts, points):
                connection.execute(delete(table).where(table.c.job_id == job_id))
            remove_tags(connection, job_id)
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def claim(self, owner: str, seconds: float, limit: int, besides: Collection[str] = ()) -> tuple[Claim, ...]:
        with self._database.read() as connection:
            if not self._free(connection, 1, besides):
                return ()

        def change(connection: Connection) -> tuple[Claim, ...]:
            rows = _rows(connection, self._free(connection, limit, besides))
            return self._lease(connection, rows, jobs_of(connection, rows), owner, seconds)

        return self._together.run(change)

    def admit(self, owner: str, seconds: float, limit: int, choose: Choose, message: str) -> tuple[Claim, ...]:
        with self._database.read() as connection:
            if not _chosen(connection, limit, choose):
                return ()

        def change(connection: Connection) -> tuple[Claim, ...]:
            _one_admits(connection)
            rows = _rows(connection, _chosen(connection, limit, choose))
            queued, now = jobs_of(connection, rows), self._now(connection)
            start = Change(False, JobState.STARTING, Phase.STARTING, message)
            starting = [moved(job, start, now) for job in queued]
            write_jobs(connection, list(zip(queued, starting, strict=True)))
            return self._lease(connection, rows, starting, owner, seconds)

        return self._together.run(change)

    def renew(self, leases: Iterable[Lease], seconds: float) -> Mapping[str, Lease]:
        leases = list(leases)

        def change(connection: Connection) -> dict[str, Lease]:
            expires = self._now(connection) + seconds
            found = connection.execute(_LOCKED_LEASES, {"ids": [one.job_id for one in leases]}).mappings()
            rows = {row["id"]: row for row in found}
            mine = [one for one in leases if one.job_id in rows and has_token(rows[one.job_id], one)]
            held = {one.job_id: replace(one, expires=expires) for one in mine}
            connection.execute(update(jobs).where(jobs.c.id.in_(list(held))).values(lease_expires=expires))
            return held

        return self._together.run(change)

    def holds(self, lease: Lease) -> bool:
        with self._database.read() as connection:
            rows = connection.execute(_LEASES, {"ids": [lease.job_id]}).mappings()
            return any(has_token(row, lease) and has_time(row, self._now(connection)) for row in rows)

    def release(self, leases: Iterable[Lease]) -> None:
        with self._database.write() as connection:
            for lease in leases:
                mine = and_(jobs.c.id == lease.job_id, jobs.c.lease_token == lease.token)
                connection.execute(update(jobs).where(mine).values(lease_owner=None, lease_expires=None))

    def advance(self, moves: Sequence[Move]) -> tuple[Claim | ModelyardError, ...]:
        try:
            return self._together.run(lambda connection: self._advance(connection, moves))
        except IntegrityError as error:
            if len(moves) == 1:
                refused = AttemptActive(name=moves[0].lease.job_id)
                refused.__cause__ = error
                return (refused,)
            return tuple(outcome for move in moves for outcome in self.advance([move]))

    def attempts(self, job_id: str) -> tuple[AttemptRecord, ...]:
        with self._database.read() as connection:
            return tuple(attempt_of(row) for row in connection.execute(_ATTEMPTS, {"job": job_id}).mappings())

    def metrics(self, job_id: str, name: str | None) -> tuple[Metric, ...]:
        mine = [points.c.job_id == job_id] + ([] if name is None else [points.c.name == name])
        query = select(points.c.name, points.c.value, points.c.at).where(*mine).order_by(points.c.position)
        with self._database.read() as connection:
            return tuple(Metric(*row) for row in connection.execute(query))

    def untidy(self, limit: int, ended_before: float) -> tuple[Job, ...]:
        left = and_(jobs.c.tidy.is_(False), jobs.c.ended < ended_before)
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).where(left).order_by(jobs.c.ended).limit(limit)).mappings().all()
            return tuple(jobs_of(connection, rows))

    def mark_tidy(self, job_ids: Iterable[str]) -> None:
        with self._database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id.in_(list(job_ids))).values(tidy=True))

    def _now(self, connection: Connection) -> float:
        if not self._own_time:
            return self._clock.now()
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def _free(self, connection: Connection, limit: int, besides: Collection[str]) -> Sequence[str]:
        """Ids of jobs that anyone may take, locked."""
        now = self._now(connection)
        unheld = or_(jobs.c.lease_expires.is_(None), jobs.c.lease_expires <= now)
        due = or_(jobs.c.state.in_(ACTIVE), and_(jobs.c.state == "queued", jobs.c.wait_until <= now))
        free = select(jobs.c.id).where(due, unheld, jobs.c.id.not_in(list(besides))).order_by(jobs.c.number)
        return connection.execute(free.limit(limit).with_for_update(skip_locked=True)).scalars().all()

    def _lease(
        self, connection: Connection, rows: Iterable[RowMapping], held: Iterable[Job], owner: str, seconds: float
    ) -> tuple[Claim, ...]:
        """New tokens for these rows, which the caller has locked; ``held`` are their jobs as they are now."""
        expires = self._now(connection) + seconds
        leases = [Lease(row["id"], owner, row["lease_token"] + 1, expires) for row in rows]
        if leases:
            columns = [{"which": one.job_id, "token": one.token} for one in leases]
            mine = update(jobs).where(jobs.c.id == bindparam("which"))
            taken = {"lease_owner": owner, "lease_token": bindparam("token"), "lease_expires": expires}
            connection.execute(mine.values(taken), columns)
        active = active_attempts(connection, [lease.job_id for lease in leases])
        return tuple(Claim(job, lease, active.get(job.id)) for job, lease in zip(held, leases, strict=True))

    def _advance(self, connection: Connection, moves: Sequence[Move]) -> tuple[Claim | ModelyardError, ...]:
        rows = {row["id"]: row for row in _rows(connection, [move.lease.job_id for move in moves])}
        before = {job.id: job for job in jobs_of(connection, rows.values())}
        active, now = active_attempts(connection, rows), self._now(connection)
        refused = [_refusal(rows.get(move.lease.job_id), move, now) for move in moves]
        taken = [move for move, refusal in zip(moves, refused, strict=True) if refusal is None]
        after = {job.id: job for job in (moved(before[one.lease.job_id], one.change, now) for one in taken)}
        write_attempts(connection, [(one.lease.job_id, one.change) for one in taken], now, active)
        write_jobs(connection, [(before[job_id], job) for job_id, job in after.items()])
        _write_points(connection, taken)
        return tuple(
            refusal or Claim(after[move.lease.job_id], move.lease, active.get(move.lease.job_id))
            for move, refusal in zip(moves, refused, strict=True)
        )


def _refusal(row: RowMapping | None, move: Move, now: float) -> ModelyardError | None:
    """Why this move may not be made of the row as it is."""
    lease, change = move.lease, move.change
    if row is None:
        return LeaseLost(kind="job", name=lease.job_id, token=lease.token)
    if not (has_token(row, lease) and has_time(row, now)):
        return LeaseLost(kind="job", name=row["name"], token=lease.token)
    if not knows_of_stop(row, change):
        return Superseded(name=row["name"])
    try:
        states.check(row["name"], JobState(row["state"]), change.state, change.phase)
    except states.IllegalTransition as error:
        return error
    return None


def has_token(row: RowMapping, lease: Lease) -> bool:
    """The fence: nobody was given the job since."""
    return bool(row["lease_token"] == lease.token and row["lease_owner"] is not None)


def has_time(row: RowMapping, now: float) -> bool:
    """The lease has not expired."""
    return bool(row["lease_expires"] is not None and row["lease_expires"] > now)


def knows_of_stop(row: RowMapping, change: Change) -> bool:
    """What was decided knew whether a stop had been asked for."""
    return bool(row["stop_requested"] == change.decided_on)


def _found(value: T | None, name: str) -> T:
    if value is None:
        raise NotFound(kind="job", name=name)
    return value


def _locked(connection: Connection, job_id: str) -> RowMapping:
    return _found(next(iter(_rows(connection, [job_id])), None), job_id)


def _rows(connection: Connection, job_ids: Collection[str]) -> Sequence[RowMapping]:
    """These jobs' rows in order of arrival, locked."""
    if not job_ids:
        return ()
    query = select(jobs).where(jobs.c.id.in_(list(job_ids))).order_by(jobs.c.number).with_for_update()
    return connection.execute(query).mappings().all()


def _write_points(connection: Connection, moves: Iterable[Move]) -> None:
    rows = [
        {"job_id": move.lease.job_id, "position": place, "name": point.name, "value": point.value, "at": point.at}
        for move in moves
        if move.change.result is not None
        for place, point in enumerate(move.change.result.metrics)
    ]
    if rows:
        connection.execute(insert(points), rows)


def _chosen(connection: Connection, limit: int, choose: Choose) -> Collection[str]:
    """The ids of the queued jobs that the choice falls on."""
    demand = select(jobs.c.id, jobs.c.cpus, jobs.c.memory)
    queued = demand.where(jobs.c.state == "queued").order_by(jobs.c.number).limit(limit)
    waiting = [Demand(*row) for row in connection.execute(queued.with_for_update(skip_locked=True))]
    if not waiting:
        return ()
    return choose(waiting, [Demand(*row) for row in connection.execute(demand.where(jobs.c.state.in_(ACTIVE)))])


def _one_admits(connection: Connection) -> None:
    """Two controllers must not both fill the same space: SQLite's writer lock sees to it, elsewhere this lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(0x6A6F6273)))
