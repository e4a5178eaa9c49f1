"""One move of one job: what its state, its attempt and the runner's word ask for next.

Owns the order of moves. Refuses to know how leases are had (controller.py), what an end means (outcomes.py)
and what is legal (states.py). Each move writes at most once; before and after it everything may be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
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


class Mover:
    """For one thread at a time. ``submit`` hands long work to other threads."""

    def __init__(self, table: JobTable, work: AttemptWork, ids: Ids, clock: Clock, submit: Submit) -> None:
        self._table = table
        self._work = work
        self._ids = ids
        self._clock = clock
        self._submit = submit

    def move(self, held: Held) -> bool:
        """Make the next move; whether another may follow at once.

        Raises what the table's ``advance`` raises, and what runner and disk raise.
        """
        if held.work is not None:
            return self._working(held, held.work)
        if held.attempt is None:
            return self._without_attempt(held)
        return self._observed(held, held.attempt)

    def _without_attempt(self, held: Held) -> bool:
        job = held.job
        if job.stop_requested:
            return self._advance(held, outcomes.ending(job, Phase.STOPPED))
        if job.state == JobState.QUEUED:
            return self._advance(held, outcomes.ending(job, Phase.MAX_WAIT_TIME_EXCEEDED))
        past = self._table.attempts(job.id)
        record = AttemptRecord(
            self._ids.new_id(), job.attempt + 1, _epoch(held, past, self._table.now()), self._clock.now()
        )
        self._advance(held, Change(False, JobState.STARTING, Phase.DOWNLOADING, outcomes.DOWNLOADING, begin=record))
        held.forget_attempt()
        self._work.folders.make(job.id, record.number)
        self._do(
            held, "begin", partial(self._work.begin, held.job, record, partial(self._table.holds, held.claim.lease))
        )
        return True

    def _working(self, held: Held, work: Future[Any]) -> bool:
        if not work.done():
            return False
        held.work = None
        error = work.exception()
        return self._begun(held, error) if held.kind == "begin" else self._collected(held, work, error)

    def _begun(self, held: Held, error: BaseException | None) -> bool:
        held.launched = self._clock.monotonic()
        if error is None:
            return True
        seen = self._sealed(held)
        if seen.state != "exited" or seen.started is not None:
            return True
        _note(held, "could not be started", error)
        if held.job.stop_requested:
            return self._advance(held, outcomes.ending(held.job, Phase.STOPPED, end="abandoned"))
        return self._advance(held, outcomes.failed(held.job, outcomes.reason_of(error), "abandoned"))

    def _observed(self, held: Held, attempt: AttemptRecord) -> bool:
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
                return self._advance(held, _training(seen))
            losses = 1 + sum(past.outcome == "lost" for past in self._table.attempts(held.job.id))
            return self._advance(held, outcomes.lost(held.job, losses))
        if seen.state == "exited":
            return self._exited(held, attempt, seen)
        return False

    def _running(self, held: Held, attempt: AttemptRecord, seen: Observation) -> bool:
        job, now = held.job, self._clock.now()
        if job.state == JobState.STARTING and seen.started is not None:
            return self._advance(held, _training(seen))
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

    def _exited(self, held: Held, attempt: AttemptRecord, seen: Observation) -> bool:
        job = held.job
        if seen.started is None and seen.reason == "stopped":
            return self._never_started(held)
        held.seen = seen
        if job.state == JobState.STARTING and seen.started is not None:
            return self._advance(held, _training(seen))
        if job.state == JobState.RUNNING and job.phase == Phase.TRAINING:
            return self._advance(held, Change(False, JobState.RUNNING, Phase.UPLOADING, outcomes.UPLOADING))
        if held.syncing is not None and not self._synced(held, held.syncing):
            return False
        if seen.started is None:
            held.collected = Collected()
        if held.collected is None:
            self._do(held, "collect", partial(self._work.collect, job, attempt))
            return True
        line = logs.last_text(logs.log_file(self._folder(held), seen.host or job.spec.resources.hosts[0]))
        return self._advance(held, outcomes.ended(job, seen, held.collected, line))

    def _never_started(self, held: Held) -> bool:
        """Sealed: nothing of the user's ran in this attempt. A stop ends the job, else the next one takes over."""
        job = held.job
        if job.stop_requested:
            return self._advance(held, outcomes.ending(job, Phase.STOPPED, end="abandoned"))
        return self._advance(held, Change(False, job.state, job.phase, outcomes.DOWNLOADING, end="abandoned"))

    def _collected(self, held: Held, work: Future[Any], error: BaseException | None) -> bool:
        if error is None:
            held.collected = work.result()
            return True
        _note(held, "could not be collected", error)
        exit_code = held.seen.exit_code if held.seen is not None else None
        return self._advance(held, outcomes.failed(held.job, outcomes.reason_of(error), "exited", exit_code))

    def _sealed(self, held: Held) -> Observation:
        """Make sure that an attempt which never started never will."""
        folder = self._work.folders.make(held.job.id, held.job.attempt)
        self._work.runner.seal(folder)
        return self._work.runner.observe(folder)

    def _advance(self, held: Held, change: Change) -> bool:
        held.claim = self._table.advance(held.claim.lease, change)
        return True

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
