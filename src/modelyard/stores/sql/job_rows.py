"""Jobs as rows: value to columns and back, and the history beside the state.

Owns the JSON of a job's spec. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from modelyard.core.jobs.model import (
    Channel,
    Job,
    JobSpec,
    JobState,
    Metric,
    MetricDefinition,
    Phase,
    Resources,
    Transition,
)
from modelyard.core.jobs.points import final
from modelyard.core.jobs.states import TERMINAL
from modelyard.core.jobs.table import AttemptRecord, Change
from modelyard.stores.sql.tables.jobs import attempts, events, jobs

TICK = 1e-6
"""Seconds by which ``modified`` grows at least; a double of this age still tells them apart."""


def job_columns(job: Job) -> dict[str, Any]:
    """The columns of a new job."""
    resources, wait = job.spec.resources, job.spec.max_wait
    return {
        "id": job.id,
        "name": job.name,
        "folded": job.name.casefold(),
        "kind": job.kind,
        "door": job.door,
        "region": job.region,
        "spec": _spec_columns(job.spec),
        "document": dict(job.document),
        "created": job.created,
        "wait_until": None if wait is None else job.created + wait,
        "cpus": resources.cpus * resources.instance_count,
        "memory": resources.memory * resources.instance_count,
        "lease_token": 0,
        "tidy": job.state in TERMINAL,
        **_changing_columns(job),
    }


def _spec_columns(spec: JobSpec) -> dict[str, Any]:
    """What ``dataclasses.asdict`` gives, at a fifth of its time."""
    return {
        **_fields(spec),
        "resources": _fields(spec.resources),
        "channels": [_fields(channel) for channel in spec.channels],
        "metrics": [_fields(metric) for metric in spec.metrics],
    }


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _changing_columns(job: Job) -> dict[str, Any]:
    """What a move may write."""
    return {
        "state": job.state.value,
        "phase": job.phase.value,
        "modified": job.modified,
        "attempt": job.attempt,
        "started": job.started,
        "ended": job.ended,
        "failure_reason": job.failure_reason,
        "exit_code": job.exit_code,
        "model_artifact": job.model_artifact,
        "stop_requested": job.stop_requested,
        "final_metrics": [{"name": one.name, "value": one.value, "at": one.at} for one in job.final_metrics],
    }


def moved(job: Job, change: Change, now: float) -> Job:
    """The job after the change, its history included."""
    ends = change.state in TERMINAL
    after = replace(
        job,
        state=change.state,
        phase=change.phase,
        modified=max(now, job.modified + TICK),
        attempt=job.attempt if change.begin is None else change.begin.number,
        started=change.started if job.started is None else job.started,
        ended=now if ends else None,
        transitions=followed(job.transitions, change.phase, change.message, now, ends),
    )
    if change.result is None:
        return after
    return replace(
        after,
        failure_reason=change.result.failure_reason,
        exit_code=change.result.exit_code,
        model_artifact=change.result.model_artifact,
        final_metrics=tuple(final(change.result.metrics)),
    )


def followed(
    history: tuple[Transition, ...], phase: Phase, message: str, now: float, ends: bool
) -> tuple[Transition, ...]:
    """The history with a phase more, the one before ended; the same phase again only takes the new message."""
    entry = Transition(phase, now, now if ends else None, message)
    if not history:
        return (entry,)
    *past, last = history
    if last.phase == phase:
        return (*past, replace(entry, started=last.started))
    return (*past, replace(last, ended=now), entry)


def write_jobs(connection: Connection, changes: Sequence[tuple[Job, Job]]) -> None:
    """Write jobs (before, after) whose rows the caller has locked; one that ended is let go."""
    if not changes:
        return
    mine = update(jobs).where(jobs.c.id == bindparam("which"))
    connection.execute(mine, [{"which": job.id, **_changing_columns(job)} for _before, job in changes])
    ended = [job.id for _before, job in changes if job.state in TERMINAL]
    if ended:
        connection.execute(update(jobs).where(jobs.c.id.in_(ended)).values(lease_owner=None, lease_expires=None))
    write_histories(connection, changes)


def write_histories(connection: Connection, changes: Iterable[tuple[Job, Job]]) -> None:
    """Write what differs between the histories of jobs (before, after)."""
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for before, after in changes:
        for place, entry in enumerate(after.transitions):
            if place >= len(before.transitions):
                row = {"job_id": after.id, "position": place, "phase": entry.phase.value, "started": entry.started}
                fresh.append({**row, "message": entry.message, "ended": entry.ended})
            elif entry != before.transitions[place]:
                key = {"job": after.id, "place": place}
                changed.append({**key, "message": entry.message, "ended": entry.ended})
    if changed:
        here = (events.c.job_id == bindparam("job"), events.c.position == bindparam("place"))
        connection.execute(update(events).where(*here), changed)
    if fresh:
        connection.execute(insert(events), fresh)


def write_attempts(
    connection: Connection, changes: Iterable[tuple[str, Change]], now: float, active: dict[str, AttemptRecord]
) -> None:
    """End and begin the attempts of jobs, in the table and in ``active``."""
    changes = list(changes)
    ends = [{"job": job_id, "outcome": change.end, "ended": now} for job_id, change in changes if change.end]
    begins = [(job_id, change.begin) for job_id, change in changes if change.begin is not None]
    if ends:
        open_one = (attempts.c.job_id == bindparam("job"), attempts.c.outcome.is_(None))
        connection.execute(update(attempts).where(*open_one), ends)
    for end in ends:
        active.pop(str(end["job"]), None)
    if begins:
        rows = [
            {"id": one.id, "job_id": job_id, "number": one.number, "epoch": one.epoch, "created": one.created}
            for job_id, one in begins
        ]
        connection.execute(insert(attempts), rows)
        active.update(begins)


def read_job(connection: Connection, job_id: str) -> Job | None:
    """The job with its history."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()
    return None if row is None else jobs_of(connection, [row])[0]


def jobs_of(connection: Connection, rows: Iterable[RowMapping]) -> list[Job]:
    """These rows as jobs, each with its history."""
    rows = list(rows)
    histories: dict[str, list[Transition]] = {row["id"]: [] for row in rows}
    query = select(events).where(events.c.job_id.in_(list(histories))).order_by(events.c.job_id, events.c.position)
    for event in connection.execute(query).mappings() if histories else ():
        entry = Transition(Phase(event["phase"]), event["started"], event["ended"], event["message"])
        histories[event["job_id"]].append(entry)
    return [_job(row, tuple(histories[row["id"]])) for row in rows]


def active_attempts(connection: Connection, job_ids: Iterable[str]) -> dict[str, AttemptRecord]:
    """The active attempt of each of these jobs that has one."""
    ids = list(job_ids)
    if not ids:
        return {}
    query = select(attempts).where(attempts.c.job_id.in_(ids), attempts.c.outcome.is_(None))
    return {row["job_id"]: attempt_of(row) for row in connection.execute(query).mappings()}


def attempt_of(row: RowMapping) -> AttemptRecord:
    return AttemptRecord(row["id"], row["number"], row["epoch"], row["created"], row["ended"], row["outcome"])


def _job(row: RowMapping, transitions: tuple[Transition, ...]) -> Job:
    return Job(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        door=row["door"],
        region=row["region"],
        spec=_spec(row["spec"]),
        document=row["document"],
        state=JobState(row["state"]),
        phase=Phase(row["phase"]),
        created=row["created"],
        modified=row["modified"],
        attempt=row["attempt"],
        started=row["started"],
        ended=row["ended"],
        failure_reason=row["failure_reason"],
        exit_code=row["exit_code"],
        model_artifact=row["model_artifact"],
        stop_requested=row["stop_requested"],
        transitions=transitions,
        final_metrics=tuple(Metric(**point) for point in row["final_metrics"]),
    )


def _spec(values: Mapping[str, Any]) -> JobSpec:
    channels = tuple(Channel(**{**one, "attributes": tuple(one["attributes"])}) for one in values["channels"])
    return JobSpec(
        **{
            **values,
            "resources": Resources(**values["resources"]),
            "channels": channels,
            "entrypoint": tuple(values["entrypoint"]),
            "arguments": tuple(values["arguments"]),
            "metrics": tuple(MetricDefinition(**one) for one in values["metrics"]),
        }
    )
