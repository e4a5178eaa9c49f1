"""The port of the table that remembers jobs, and what is read from it and written to it.

Owns the contract: leases, stops, attempts. Refuses to know SQL and what a move means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from modelyard.base.errors import ModelyardError
from modelyard.base.paging import Page
from modelyard.core.jobs.model import Job, JobQuery, JobState, Metric, Phase

Outcome = Literal["exited", "lost", "abandoned"]


class Superseded(ModelyardError):
    """Job {name!r} was asked to stop meanwhile; nothing was written."""

    code = "conflict"


class AttemptActive(ModelyardError):
    """Job {name!r} has an active attempt already; nothing was written."""

    code = "conflict"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to move one job until ``expires`` (epoch seconds of the table's clock)."""

    job_id: str
    owner: str
    token: int
    expires: float


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try as remembered. ``epoch`` names its log streams: an abandoned attempt (its user code never
    began) hands its own on to the next, so that a client's stream goes on. ``outcome`` None: active."""

    id: str
    number: int
    epoch: int
    created: float
    ended: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A job with the lease on it, and its active attempt."""

    job: Job
    lease: Lease
    attempt: AttemptRecord | None


@dataclass(frozen=True, slots=True)
class Result:
    """What a job ended with. ``metrics`` are all points in order; the last of each name is final."""

    failure_reason: str | None = None
    exit_code: int | None = None
    model_artifact: str | None = None
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One move of a job. ``decided_on`` is the ``stop_requested`` that the decision knew. ``started`` is when
    the user's code first began; ``result`` comes with a terminal state."""

    decided_on: bool
    state: JobState
    phase: Phase
    message: str
    begin: AttemptRecord | None = None
    end: Outcome | None = None
    started: float | None = None
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A change of the job that ``lease`` is on."""

    lease: Lease
    change: Change


@dataclass(frozen=True, slots=True)
class Demand:
    """What a job asks for in all its instances together: processors, bytes."""

    job_id: str
    cpus: float
    memory: int


Choose = Callable[[Sequence[Demand], Sequence[Demand]], Collection[str]]
"""Of (waiting, in order of arrival; active): the ids to admit. Pure: it runs inside a transaction."""

Amend = Callable[[Job], Mapping[str, Any]]
"""Of a job as it is: the document that replaces its own. Pure: it runs inside a transaction, maybe more than once."""


class JobTable(Protocol):
    """Where jobs are kept.

    Owns rows, never decisions. Thread-safe, and safe for several processes on one table. Each writing call is one
    transaction: on disk when it returns, nothing written when it raises, and no crash leaves half. ``now`` is the
    table's own clock (the database's where several machines share one).

    Leases. Who moves a job holds its lease. ``claim`` and ``admit`` hand one out for a job whose lease nobody holds or
    whose lease has expired, each with a token greater than any before it for that job: the fence. ``advance`` moves
    many jobs in one transaction, each by itself: one whose token is not the row's current one or has expired is
    answered LeaseLost and nothing is written of it, while the others move. ``renew`` extends the leases whose token is
    still current (an expired one too: nobody took the job) and answers which those are. A job that becomes terminal is
    let go by the same write. ``release`` lets go early.

    Stops. ``request_stop`` is the one move that needs no lease: it takes a job that has not ended to ``stopping``. A
    holder whose change was decided before that is answered Superseded and decides anew.

    Attempts. ``advance`` may begin one or end the one that is active. A job has at most one active attempt; a second is
    refused by the table itself (AttemptActive).
    """

    def now(self) -> float: ...

    def create(self, job: Job, tags: Mapping[str, str], message: str) -> Job:
        """Keep a new job, and its first transition with ``message``; ``created`` and ``modified`` are the table's.

        A job given as failed gets the transition into its phase too. Raises AlreadyExists when a job of its kind
        has that name, letter case ignored.
        """

    def get(self, job_id: str) -> Job:
        """Raises NotFound."""

    def find(self, name: str, kind: str) -> Job:
        """By SageMaker name, letter case counting. Raises NotFound."""

    def is_taken(self, name: str, kind: str) -> bool:
        """Whether a job of that kind has the name, letter case ignored."""

    def list(self, query: JobQuery) -> Page[Job]: ...

    def stamps(self, job_ids: Iterable[str]) -> Mapping[str, float]:
        """``modified`` of these jobs; a job that is gone is missing."""

    def request_stop(self, job_id: str, message: str) -> Job:
        """Raises NotFound, and Conflict when the job has ended. Again on a stopping job: nothing changes."""

    def amend(self, job_id: str, amended: Amend) -> Job:
        """Replace a job's document; no lease is needed, for no move reads it. Raises NotFound, and what ``amended``
        raises."""

    def delete(self, job_id: str) -> None:
        """Forget a job that has ended, with its attempts, metrics and tags. Raises NotFound, Conflict."""

    def claim(self, owner: str, seconds: float, limit: int, besides: Collection[str] = ()) -> tuple[Claim, ...]:
        """Leases on active jobs that nobody holds, on stopping jobs that never began and on queued ones whose
        time to wait is over; none on ``besides``."""

    def admit(self, owner: str, seconds: float, limit: int, choose: Choose, message: str) -> tuple[Claim, ...]:
        """Move the queued jobs that ``choose`` names, of the first ``limit``, to ``starting``, leased."""

    def renew(self, leases: Iterable[Lease], seconds: float) -> Mapping[str, Lease]:
        """The leases that are still held, by job id, extended."""

    def holds(self, lease: Lease) -> bool:
        """Whether ``advance`` would take the lease now; only reads."""

    def release(self, leases: Iterable[Lease]) -> None: ...

    def advance(self, moves: Sequence[Move]) -> tuple[Claim | ModelyardError, ...]:
        """What became of each move, in order; no two may be of one job. Instead of the new claim stands why the move
        was refused: LeaseLost, Superseded, AttemptActive or states.IllegalTransition; nothing of it was written."""

    def attempts(self, job_id: str) -> tuple[AttemptRecord, ...]:
        """In order of number."""

    def metrics(self, job_id: str, name: str | None) -> tuple[Metric, ...]:
        """Kept points of an ended job, oldest first."""

    def untidy(self, limit: int, ended_before: float) -> tuple[Job, ...]:
        """Ended jobs whose attempts still hold what ``mark_tidy`` has not said is freed."""

    def mark_tidy(self, job_ids: Iterable[str]) -> None: ...
