"""Jobs as rows: value to columns and back, and the history beside the state.

Owns the JSON of a job's spec. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

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
from modelyard.core.jobs.states import TERMINAL
from modelyard.core.jobs.table import AttemptRecord, Demand
from modelyard.stores.sql.tables.jobs import attempts, events, jobs


def job_columns(job: Job, now: float) -> dict[str, Any]:
    """The columns of a new job, made ``now``."""
    resources, wait = job.spec.resources, job.spec.max_wait
    return {
        "id": job.id,
        "name": job.name,
        "folded": job.name.casefold(),
        "kind": job.kind,
        "door": job.door,
        "region": job.region,
        "spec": asdict(job.spec),
        "document": dict(job.document),
        "state": job.state.value,
        "phase": job.phase.value,
        "created": now,
        "modified": now,
        "ended": now if job.state in TERMINAL else None,
        "wait_until": None if wait is None else now + wait,
        "attempt": 0,
        "stop_requested": False,
        "failure_reason": job.failure_reason,
        "final_metrics": [],
        "cpus": resources.cpus * resources.instance_count,
        "memory": resources.memory * resources.instance_count,
        "lease_token": 0,
        "tidy": job.state in TERMINAL,
    }


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
    query = select(attempts).where(attempts.c.job_id.in_(list(job_ids)), attempts.c.outcome.is_(None))
    return {row["job_id"]: attempt_of(row) for row in connection.execute(query).mappings()}


def attempt_of(row: RowMapping) -> AttemptRecord:
    return AttemptRecord(row["id"], row["number"], row["epoch"], row["created"], row["ended"], row["outcome"])


def demand_of(row: RowMapping) -> Demand:
    return Demand(row["id"], row["cpus"], row["memory"])


def write_phase(connection: Connection, job_id: str, phase: Phase, message: str, now: float, ends: bool) -> None:
    """Add a transition to the history, ending the one before; the same phase again only takes the new message."""
    mine = events.c.job_id == job_id
    last = connection.execute(select(events).where(mine).order_by(events.c.position.desc()).limit(1)).mappings().first()
    position = 0
    if last is not None:
        here = (mine, events.c.position == last["position"])
        if last["phase"] == phase:
            connection.execute(update(events).where(*here).values(message=message, ended=now if ends else None))
            return
        connection.execute(update(events).where(*here).values(ended=now))
        position = last["position"] + 1
    row = {"job_id": job_id, "position": position, "phase": phase.value, "started": now, "message": message}
    connection.execute(insert(events).values(**row, ended=now if ends else None))


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
