"""The core's nouns for the terminal: plain records to list and show, and a job's log to follow.

Works on the data directory itself, beside a running server or without one: what it asks for (stop, delete) is
written where the server's level-triggered loops see it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelyard.app.house import House, open_existing_house
from modelyard.app.settings import Settings
from modelyard.base.paging import Listing
from modelyard.core.deployments.model import Endpoint
from modelyard.core.jobs.logs import Window
from modelyard.core.jobs.model import Job, JobQuery, JobState
from modelyard.core.jobs.states import TERMINAL
from modelyard.core.models.model import Model

LOOK_AGAIN = 0.25
"""Seconds between two looks at a job that is followed: the server's changes raise no news in this process."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A line of a job's output, news of what the job is busy with, or, last, why it failed."""

    kind: Literal["line", "news", "failed"]
    text: str


def list_noun(data_dir: Path | None, noun: str, limit: int) -> list[dict[str, Any]]:
    """The newest ``limit`` jobs, models or endpoints, a flat record each."""
    listing = Listing(limit=limit)
    with _house(data_dir) as house:
        if noun == "jobs":
            return [_job_row(job) for job in house.jobs.list(JobQuery(listing)).items]
        if noun == "models":
            return [_model_row(model) for model in house.models.list(listing).items]
        return [_endpoint_row(endpoint) for endpoint in house.deployments.list(listing).items]


def get_noun(data_dir: Path | None, noun: str, name: str) -> dict[str, Any]:
    """One of them by name or id, with more detail. Raises NotFound."""
    with _house(data_dir) as house:
        if noun == "jobs":
            return _job_detail(house.jobs.get(name, None))
        if noun == "models":
            return _model_detail(house.models.get(name))
        return _endpoint_detail(house.deployments.get(name))


def delete_noun(data_dir: Path | None, noun: str, name: str) -> None:
    """Raises NotFound, and Conflict for a job that has not ended."""
    with _house(data_dir) as house:
        if noun == "jobs":
            job = house.jobs.get(name, None)
            house.jobs.delete(job.id, job.kind)
        elif noun == "models":
            house.models.delete(name)
        else:
            house.deployments.delete(name)


def stop_job(data_dir: Path | None, name: str) -> None:
    """Raises NotFound, and Conflict for a job that has ended."""
    with _house(data_dir) as house:
        job = house.jobs.get(name, None)
        house.jobs.stop(job.id, job.kind)


def job_log(data_dir: Path | None, name: str, follow: bool) -> Iterator[LogEvent]:
    """A job's lines, stream by stream; while following, as they come, with its phases between them. How it ended
    comes after the last line."""
    with _house(data_dir) as house:
        read: dict[str, int] = {}
        phase = ""
        job = house.jobs.get(name, None)
        while follow and job.state not in TERMINAL:
            if job.phase != phase:
                phase = job.phase
                yield LogEvent("news", phase)
            yield from _new_lines(house, job, read)
            time.sleep(LOOK_AGAIN)
            job = house.jobs.get(name, None)
        yield from _new_lines(house, job, read)
        if follow:
            yield LogEvent("news", job.phase)
        if job.state == JobState.FAILED:
            yield LogEvent("failed", job.failure_reason or "the job failed")


def _new_lines(house: House, job: Job, read: dict[str, int]) -> Iterator[LogEvent]:
    for stream in house.jobs.log_streams(job):
        while True:
            page = house.jobs.read_log(job, stream.name, Window(read.get(stream.name, 0)))
            yield from (LogEvent("line", line.text) for line in page.lines)
            if page.end == read.get(stream.name, 0):
                break
            read[stream.name] = page.end


@contextmanager
def _house(data_dir: Path | None) -> Iterator[House]:
    house = open_existing_house(Settings(data_dir=data_dir) if data_dir else Settings())
    try:
        yield house
    finally:
        house.close()


def _job_row(job: Job) -> dict[str, Any]:
    """``seconds``: from when its code began to run until it ended, or until now; None when it never began."""
    return {
        "name": job.name,
        "state": str(job.state),
        "phase": str(job.phase),
        "made_at": job.door,
        "created": job.created,
        "seconds": None if job.started is None else round((job.ended or time.time()) - job.started, 1),
    }


def _job_detail(job: Job) -> dict[str, Any]:
    return _job_row(job) | {
        "id": job.id,
        "image": job.spec.image,
        "hyperparameters": dict(job.spec.hyperparameters),
        "started": job.started,
        "ended": job.ended,
        "model_artifact": job.model_artifact,
        "metrics": {metric.name: metric.value for metric in job.final_metrics},
        "failure_reason": job.failure_reason,
    }


def _model_row(model: Model) -> dict[str, Any]:
    images = ", ".join(container.image for container in model.containers)
    return {"name": model.name, "image": images, "made_at": model.door, "created": model.created}


def _model_detail(model: Model) -> dict[str, Any]:
    return _model_row(model) | {"id": model.id, "artifacts": [c.artifact for c in model.containers if c.artifact]}


def _endpoint_row(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "state": str(endpoint.state),
        "configuration": endpoint.config_name,
        "made_at": endpoint.door,
        "created": endpoint.created,
    }


def _endpoint_detail(endpoint: Endpoint) -> dict[str, Any]:
    variants = [{"name": v.name, "weight": v.current_weight, "workers": v.current_count} for v in endpoint.variants]
    return _endpoint_row(endpoint) | {
        "id": endpoint.id,
        "modified": endpoint.modified,
        "variants": variants,
        "failure_reason": endpoint.failure_reason,
    }
