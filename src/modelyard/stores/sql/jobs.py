"""Jobs in SQL: the port ``core.jobs.table.JobTable``.

Owns the lease checks and that state, history and attempts change in one transaction. SQLite takes turns by
its writer lock and the injected clock; PostgreSQL by row locks that skip what is locked, and its own clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from modelyard.base.clock import Clock
from modelyard.base.errors import AlreadyExists, Conflict, LeaseLost, NotFound
from modelyard.base.paging import Page
from modelyard.core.jobs import states
from modelyard.core.jobs.model import Job, JobQuery, JobState, Metric, Phase
from modelyard.core.jobs.points import final
from modelyard.core.jobs.table import (
    AttemptActive,
    AttemptRecord,
    Change,
    Choose,
    Claim,
    Lease,
    Superseded,
)
from modelyard.stores.sql.database import Database
from modelyard.stores.sql.job_rows import (
    active_attempts,
    attempt_of,
    demand_of,
    job_columns,
    jobs_of,
    read_job,
    write_phase,
)
from modelyard.stores.sql.listing import page
from modelyard.stores.sql.tables.jobs import attempts, events, jobs, points
from modelyard.stores.sql.tags import remove_tags, write_tags

T = TypeVar("T")

TICK = 1e-6
"""Seconds by which ``modified`` grows at least; a double of this age still tells them apart."""

ACTIVE = [state.value for state in states.ACTIVE]
TERMINAL = [state.value for state in states.TERMINAL]

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
        self._own_time = database.engine.dialect.name != "sqlite"

    def now(self) -> float:
        if not self._own_time:
            return self._clock.now()
        with self._database.read() as connection:
            return self._now(connection)

    def create(self, job: Job, tags: Mapping[str, str], message: str) -> Job:
        try:
            with self._database.write() as connection:
                now = self._now(connection)
                connection.execute(insert(jobs).values(job_columns(job, now)))
                write_phase(connection, job.id, Phase.STARTING, message, now, ends=False)
                if job.state in states.TERMINAL:
                    write_phase(connection, job.id, job.phase, job.failure_reason or "", now, ends=True)
                write_tags(connection, job.id, tags)
                return _found(read_job(connection, job.id), job.id)
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
        with self._database.write() as connection:
            row = _locked(connection, job_id)
            if row["state"] in TERMINAL:
                raise Conflict(what=f"job {row['name']!r} has ended already: {row['state']}")
            if not row["stop_requested"]:
                states.check(row["name"], JobState(row["state"]), JobState.STOPPING, Phase.STOPPING)
                now = self._now(connection)
                values = {"stop_requested": True, "state": "stopping", "phase": Phase.STOPPING.value}
                _set(connection, row, values, now)
                write_phase(connection, job_id, Phase.STOPPING, message, now, ends=False)
            return _found(read_job(connection, job_id), job_id)

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
            if not self._free_rows(connection, 1, besides):
                return ()
        with self._database.write() as connection:
            rows = self._free_rows(connection, limit, besides)
            return self._lease(connection, rows, owner, seconds)

    def admit(self, owner: str, seconds: float, limit: int, choose: Choose, message: str) -> tuple[Claim, ...]:
        with self._database.read() as connection:
            if not _chosen(connection, limit, choose):
                return ()
        with self._database.write() as connection:
            _one_admits(connection)
            rows = _chosen(connection, limit, choose)
            now = self._now(connection)
            for row in rows:
                _set(connection, row, {"state": "starting"}, now)
                write_phase(connection, row["id"], Phase.STARTING, message, now, ends=False)
            return self._lease(connection, rows, owner, seconds)

    def renew(self, leases: Iterable[Lease], seconds: float) -> Mapping[str, Lease]:
        held: dict[str, Lease] = {}
        with self._database.write() as connection:
            expires = self._now(connection) + seconds
            for lease in leases:
                mine = and_(
                    jobs.c.id == lease.job_id, jobs.c.lease_token == lease.token, jobs.c.lease_owner.is_not(None)
                )
                if connection.execute(update(jobs).where(mine).values(lease_expires=expires)).rowcount:
                    held[lease.job_id] = Lease(lease.job_id, lease.owner, lease.token, expires)
        return held

    def holds(self, lease: Lease) -> bool:
        with self._database.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == lease.job_id)).mappings().first()
            return row is not None and has_token(row, lease) and has_time(row, self._now(connection))

    def release(self, leases: Iterable[Lease]) -> None:
        with self._database.write() as connection:
            for lease in leases:
                mine = and_(jobs.c.id == lease.job_id, jobs.c.lease_token == lease.token)
                connection.execute(update(jobs).where(mine).values(lease_owner=None, lease_expires=None))

    def advance(self, lease: Lease, change: Change) -> Claim:
        try:
            with self._database.write() as connection:
                return self._advance(connection, lease, change)
        except IntegrityError as error:
            raise AttemptActive(name=lease.job_id) from error

    def attempts(self, job_id: str) -> tuple[AttemptRecord, ...]:
        query = select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
        with self._database.read() as connection:
            return tuple(attempt_of(row) for row in connection.execute(query).mappings())

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

    def _free_rows(self, connection: Connection, limit: int, besides: Collection[str]) -> Sequence[RowMapping]:
        now = self._now(connection)
        unheld = or_(jobs.c.lease_expires.is_(None), jobs.c.lease_expires <= now)
        due = or_(jobs.c.state.in_(ACTIVE), and_(jobs.c.state == "queued", jobs.c.wait_until <= now))
        query = select(jobs).where(due, unheld, jobs.c.id.not_in(list(besides))).order_by(jobs.c.number).limit(limit)
        return connection.execute(query.with_for_update(skip_locked=True)).mappings().all()

    def _lease(
        self, connection: Connection, rows: Iterable[RowMapping], owner: str, seconds: float
    ) -> tuple[Claim, ...]:
        """New tokens for these rows, which the caller has locked."""
        expires = self._now(connection) + seconds
        leases = {}
        for row in rows:
            lease = Lease(row["id"], owner, row["lease_token"] + 1, expires)
            values = {"lease_owner": owner, "lease_token": lease.token, "lease_expires": expires}
            connection.execute(update(jobs).where(jobs.c.id == row["id"]).values(values))
            leases[row["id"]] = lease
        fresh = connection.execute(select(jobs).where(jobs.c.id.in_(list(leases))).order_by(jobs.c.number)).mappings()
        active = active_attempts(connection, leases)
        return tuple(Claim(job, leases[job.id], active.get(job.id)) for job in jobs_of(connection, fresh))

    def _advance(self, connection: Connection, lease: Lease, change: Change) -> Claim:
        row = _locked(connection, lease.job_id, lease)
        now = self._now(connection)
        if not (has_token(row, lease) and has_time(row, now)):
            raise LeaseLost(kind="job", name=row["name"], token=lease.token)
        if not knows_of_stop(row, change):
            raise Superseded(name=row["name"])
        states.check(row["name"], JobState(row["state"]), change.state, change.phase)
        ends = change.state in states.TERMINAL
        if change.end is not None:
            _end_attempt(connection, lease.job_id, change.end, now)
        if change.begin is not None:
            _begin_attempt(connection, lease.job_id, change.begin)
        _set(connection, row, _columns(row, change, now), now)
        write_phase(connection, lease.job_id, change.phase, change.message, now, ends)
        if change.result is not None:
            _write_points(connection, lease.job_id, change.result.metrics)
        job = _found(read_job(connection, lease.job_id), lease.job_id)
        return Claim(job, lease, active_attempts(connection, [job.id]).get(job.id))


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


def _locked(connection: Connection, job_id: str, lease: Lease | None = None) -> RowMapping:
    query = select(jobs).where(jobs.c.id == job_id).with_for_update()
    row = connection.execute(query).mappings().first()
    if row is None and lease is not None:
        raise LeaseLost(kind="job", name=job_id, token=lease.token)
    return _found(row, job_id)


def _set(connection: Connection, row: RowMapping, values: Mapping[str, Any], now: float) -> None:
    modified = max(now, row["modified"] + TICK)
    connection.execute(update(jobs).where(jobs.c.id == row["id"]).values({**values, "modified": modified}))


def _columns(row: RowMapping, change: Change, now: float) -> dict[str, Any]:
    values: dict[str, Any] = {"state": change.state.value, "phase": change.phase.value}
    if change.begin is not None:
        values["attempt"] = change.begin.number
    if change.started is not None and row["started"] is None:
        values["started"] = change.started
    if change.state in states.TERMINAL:
        values |= {"ended": now, "lease_owner": None, "lease_expires": None}
    if change.result is not None:
        result = change.result
        values |= {"failure_reason": result.failure_reason, "exit_code": result.exit_code}
        values["model_artifact"] = result.model_artifact
        values["final_metrics"] = [
            {"name": point.name, "value": point.value, "at": point.at} for point in final(result.metrics)
        ]
    return values


def _begin_attempt(connection: Connection, job_id: str, attempt: AttemptRecord) -> None:
    row = {"id": attempt.id, "number": attempt.number, "epoch": attempt.epoch, "created": attempt.created}
    connection.execute(insert(attempts).values(**row, job_id=job_id))


def _end_attempt(connection: Connection, job_id: str, outcome: str, now: float) -> None:
    active = and_(attempts.c.job_id == job_id, attempts.c.outcome.is_(None))
    connection.execute(update(attempts).where(active).values(outcome=outcome, ended=now))


def _write_points(connection: Connection, job_id: str, metrics: tuple[Metric, ...]) -> None:
    if metrics:
        rows = [
            {"job_id": job_id, "position": place, "name": point.name, "value": point.value, "at": point.at}
            for place, point in enumerate(metrics)
        ]
        connection.execute(insert(points), rows)


def _chosen(connection: Connection, limit: int, choose: Choose) -> list[RowMapping]:
    """The queued rows that the choice falls on."""
    query = select(jobs).where(jobs.c.state == "queued").order_by(jobs.c.number).limit(limit)
    waiting = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
    if not waiting:
        return []
    active = connection.execute(select(jobs).where(jobs.c.state.in_(ACTIVE))).mappings().all()
    chosen = choose([demand_of(row) for row in waiting], [demand_of(row) for row in active])
    return [row for row in waiting if row["id"] in chosen]


def _one_admits(connection: Connection) -> None:
    """Two controllers must not both fill the same space: SQLite's writer lock sees to it, elsewhere this lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(0x6A6F6273)))
