"""One move of one job: what its state, its attempt and the runner's word ask for next.

Owns the order of moves. Refuses to know how leases are had and when changes are written (controller.py), what an
end means (outcomes.py) and what is legal (states.py). Before and after each write everything may be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.base.clock import Clock
from modelyard.base.errors import ModelyardError
from modelyard.base.ids import Ids
from modelyard.core.jobs import logs, outcomes
from modelyard.core.jobs.attempts import AttemptWork
from modelyard.core.jobs.held import Held
from modelyard.core.jobs.model import JobState, Phase
from modelyard.core.jobs.ports import Collected, Observation
from modelyard.core.jobs.table import AttemptRecord, Change, JobTable

_log = logging.getLogger(__name__)

LAUNCHING = 10.0
"""Seconds that a launched supervisor has to show itself before its attempt is sealed."""
OVERDUE = 30.0
"""Seconds past deadline and grace after which an attempt whose supervisor did not end it is told to stop."""
SYNC_EVERY = 30.0
"""Seconds between two looks for new checkpoints of a running job."""

Submit = Callable[[Callable[[], Any]], "Future[Any]"]


def _nothing() -> None:
    """What follows most writes."""


@dataclass(frozen=True, slots=True)
class Write:
    """A change that must be on disk before anything else happens to the job, and what is done as soon as it is."""

    change: Change
    then: Callable[[], None] = _nothing


class Mover:
    """For one thread at a time. ``submit`` hands long work to other threads."""

    def __init__(self, table: JobTable, work: AttemptWork, ids: Ids, clock: Clock, submit: Submit) -> None:
        self._table = table
        self._work = work
        self._ids = ids
        self._clock = clock
        self._submit = submit

    def move(self, held: Held) -> Write | bool:
        """Make the next move: what must be written for it, else whether another may follow at once.

        Raises what runner and disk raise.
        """
        if held.work is not None:
            return self._working(held, held.work)
        if held.attempt is None:
            return self._without_attempt(held)
        return self._observed(held, held.attempt)

    def _without_attempt(self, held: Held) -> Write | bool:
        job = held.job
        if job.stop_requested:
            return Write(outcomes.ending(job, Phase.STOPPED))
        if job.state == JobState.QUEUED:
            return Write(outcomes.ending(job, Phase.MAX_WAIT_TIME_EXCEEDED))
        past = self._table.attempts(job.id) if job.attempt else ()
        record = AttemptRecord(
            self._ids.new_id(), job.attempt + 1, _epoch(held, past, self._table.now()), self._clock.now()
        )
        change = Change(False, JobState.STARTING, Phase.DOWNLOADING, outcomes.DOWNLOADING, begin=record)
        return Write(change, partial(self._begin, held, record))

    def _begin(self, held: Held, record: AttemptRecord) -> None:
        """The attempt is on record: stage and start it."""
        held.forget_attempt()
        may_start = partial(self._table.holds, held.claim.lease)
        self._do(held, "begin", partial(self._work.begin, held.job, record, may_start))

    def _working(self, held: Held, work: Future[Any]) -> Write | bool:
        if not work.done():
            return False
        held.work = None
        error = work.exception()
        return self._begun(held, error) if held.kind == "begin" else self._collected(held, work, error)

    def _begun(self, held: Held, error: BaseException | None) -> Write | bool:
        held.launched = self._clock.monotonic()
        if error is None:
            return True
        seen = self._sealed(held)
        if seen.state != "exited" or seen.started is not None:
            return True
        _note(held, "could not be started", error)
        if held.job.stop_requested:
            return Write(outcomes.ending(held.job, Phase.STOPPED, end="abandoned"))
        return Write(outcomes.failed(held.job, outcomes.reason_of(error), "abandoned"))

    def _observed(self, held: Held, attempt: AttemptRecord) -> Write | bool:
        seen = held.seen or self._work.runner.observe(self._folder(held))
        if seen.state == "absent":
            fresh = held.launched is not None and self._clock.monotonic() - held.launched < LAUNCHING
            if fresh and not held.job.stop_requested:
                return False
            seen = self._sealed(held)
        if seen.state == "running":
            return self._running(held, attempt, seen)
        if seen.state == "lost":
            if held.job.state == JobState.STARTING and seen.started is not None:
                return Write(_training(seen))
            losses = 1 + sum(past.outcome == "lost" for past in self._table.attempts(held.job.id))
            return Write(outcomes.lost(held.job, losses))
        if seen.state == "exited":
            return self._exited(held, attempt, seen)
        return False

    def _running(self, held: Held, attempt: AttemptRecord, seen: Observation) -> Write | bool:
        job, now = held.job, self._clock.now()
        if job.state == JobState.STARTING and seen.started is not None:
            return Write(_training(seen))
        overdue = outcomes.deadline(job, seen.started or now) + job.spec.stop_grace + OVERDUE < now
        if (job.stop_requested or overdue) and not held.told:
            self._work.runner.stop(self._folder(held), job.spec.stop_grace)
            held.told = True
        if job.spec.checkpoints is not None and held.syncing is None:
            if self._clock.monotonic() - held.synced >= SYNC_EVERY:
                held.syncing = self._submit(partial(self._work.sync, job, attempt))
        elif held.syncing is not None:
            self._synced(held, held.syncing)
        return False

    def _synced(self, held: Held, syncing: Future[Any]) -> bool:
        """Whether the store of checkpoints under way is over; a failed one is tried again later."""
        if not syncing.done():
            return False
        held.syncing, held.synced = None, self._clock.monotonic()
        error = syncing.exception()
        if error is not None:
            _log.warning("job %s: checkpoints could not be stored: %s", held.job.name, error)
        return True

    def _exited(self, held: Held, attempt: AttemptRecord, seen: Observation) -> Write | bool:
        job = held.job
        if seen.started is None and seen.reason == "stopped":
            return self._never_started(held)
        held.seen = seen
        if job.state == JobState.STARTING and seen.started is not None:
            return Write(_training(seen))
        if job.state == JobState.RUNNING and job.phase == Phase.TRAINING:
            return Write(Change(False, JobState.RUNNING, Phase.UPLOADING, outcomes.UPLOADING))
        if held.syncing is not None and not self._synced(held, held.syncing):
            return False
        if seen.started is None:
            held.collected = Collected()
        if held.collected is None:
            self._do(held, "collect", partial(self._work.collect, job, attempt, outcomes.fails(job, seen)))
            return True
        line = logs.last_text(logs.log_file(self._folder(held), seen.host or job.spec.resources.hosts[0]))
        return Write(outcomes.ended(job, seen, held.collected, line))

    def _never_started(self, held: Held) -> Write | bool:
        """Sealed: nothing of the user's ran in this attempt. A stop ends the job, else the next one takes over."""
        job = held.job
        if job.stop_requested:
            return Write(outcomes.ending(job, Phase.STOPPED, end="abandoned"))
        return Write(Change(False, job.state, job.phase, outcomes.DOWNLOADING, end="abandoned"))

    def _collected(self, held: Held, work: Future[Any], error: BaseException | None) -> Write | bool:
        if error is None:
            held.collected = work.result()
            return True
        _note(held, "could not be collected", error)
        exit_code = held.seen.exit_code if held.seen is not None else None
        return Write(outcomes.failed(held.job, outcomes.reason_of(error), "exited", exit_code))

    def _sealed(self, held: Held) -> Observation:
        """Make sure that an attempt which never started never will."""
        folder = self._work.folders.make(held.job.id, held.job.attempt)
        self._work.runner.seal(folder)
        return self._work.runner.observe(folder)

    def _do(self, held: Held, kind: str, task: Callable[[], Any]) -> None:
        held.kind = kind
        held.work = self._submit(task)

    def _folder(self, held: Held) -> Path:
        return self._work.folders.attempt(held.job.id, held.job.attempt)


def _training(seen: Observation) -> Change:
    return Change(False, JobState.RUNNING, Phase.TRAINING, outcomes.TRAINING, started=seen.started)


def _epoch(held: Held, past: tuple[AttemptRecord, ...], now: float) -> int:
    """What names the next attempt's streams: an abandoned attempt's are continued, any other's are not."""
    if not past:
        return logs.first_epoch(held.job)
    return past[-1].epoch if past[-1].outcome == "abandoned" else max(int(now), past[-1].epoch + 1)


def _note(held: Held, what: str, error: BaseException) -> None:
    unexpected = not isinstance(error, ModelyardError)
    _log.log(logging.ERROR if unexpected else logging.INFO, "job %s %s: %s", held.job.name, what, error, exc_info=error)
