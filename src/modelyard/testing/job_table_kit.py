"""The contract of ``core.jobs.table.JobTable`` as tests: subclass ``JobTableContract`` and give it a table.

Each name reads as a law of the table. A subclass provides ``table`` (empty, new for each test) and ``pass_time``,
which makes the table's own clock go on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from modelyard.base.errors import AlreadyExists, Conflict, LeaseLost, ModelyardError, NotFound
from modelyard.base.paging import Between, Listing
from modelyard.core.jobs.model import Job, JobQuery, JobSpec, JobState, Metric, Phase, Resources
from modelyard.core.jobs.states import IllegalTransition
from modelyard.core.jobs.table import (
    AttemptActive,
    AttemptRecord,
    Change,
    Claim,
    Demand,
    JobTable,
    Lease,
    Move,
    Result,
    Superseded,
)

SPEC = JobSpec("image", Resources("ml.m5.large"))
BEGIN = Change(False, JobState.STARTING, Phase.DOWNLOADING, "Downloading")
RUN = Change(False, JobState.RUNNING, Phase.TRAINING, "Training", started=5.0)
DONE = Change(False, JobState.SUCCEEDED, Phase.COMPLETED, "Completed", end="exited", result=Result(exit_code=0))
STOPPED = Change(True, JobState.STOPPED, Phase.STOPPED, "Stopped", result=Result())


def new_job(number: int, name: str | None = None, **values: Any) -> Job:
    """A job as a service hands it to the table."""
    job = Job(
        id=f"00000000-0000-4000-8000-{number:012d}",
        name=name or f"job-{number}",
        kind="training",
        door="sagemaker",
        region="us-east-1",
        spec=SPEC,
        document={},
        state=JobState.QUEUED,
        phase=Phase.STARTING,
        created=0.0,
        modified=0.0,
    )
    return replace(job, **values)


def moved(table: JobTable, lease: Lease, change: Change) -> Claim:
    """The claim after one move by itself; raises why it was refused."""
    (outcome,) = table.advance([Move(lease, change)])
    if isinstance(outcome, ModelyardError):
        raise outcome
    return outcome


class JobTableContract:
    """Owns the laws; a subclass owns the database."""

    @abstractmethod
    def pass_time(self, table: JobTable, seconds: float) -> None:
        """Make ``table.now()`` grow by ``seconds``."""

    def admitted(self, table: JobTable, number: int = 1, owner: str = "a") -> Claim:
        table.create(new_job(number), {}, "Starting")
        (claim,) = table.admit(owner, 3, 10, lambda waiting, _active: [one.job_id for one in waiting], "Preparing")
        return claim

    def begun(self, table: JobTable, number: int = 1, owner: str = "a") -> Claim:
        claim = self.admitted(table, number, owner)
        record = AttemptRecord(f"attempt-{number}", 1, 7, table.now())
        return moved(table, claim.lease, replace(BEGIN, begin=record))

    # names and look-up

    def test_a_new_job_is_queued_and_its_history_has_begun(self, table: JobTable) -> None:
        job = table.create(new_job(1), {"a": "b"}, "Starting the job")
        assert job == table.get(job.id) == table.find("job-1", "training")
        assert job.created == job.modified == pytest.approx(table.now(), abs=60)
        assert [(one.phase, one.message, one.ended) for one in job.transitions] == [
            (Phase.STARTING, "Starting the job", None)
        ]

    def test_a_name_is_taken_whatever_its_case(self, table: JobTable) -> None:
        table.create(new_job(1, "Fit"), {}, "")
        assert table.is_taken("fIT", "training") and not table.is_taken("fit2", "training")
        with pytest.raises(AlreadyExists):
            table.create(new_job(2, "fit"), {}, "")
        with pytest.raises(NotFound):
            table.find("fit", "training")
        with pytest.raises(NotFound):
            table.get(new_job(2).id)

    def test_a_job_created_as_failed_has_ended(self, table: JobTable) -> None:
        job = table.create(new_job(1, state=JobState.FAILED, phase=Phase.FAILED, failure_reason="no image"), {}, "")
        assert job.ended == job.created and job.failure_reason == "no image"
        assert [one.phase for one in job.transitions] == [Phase.STARTING, Phase.FAILED]
        assert table.untidy(10, table.now() + 60) == ()

    # leases

    def test_a_job_that_is_held_is_not_handed_out(self, table: JobTable) -> None:
        self.admitted(table)
        assert table.claim("b", 3, 10) == ()

    def test_an_expired_lease_is_handed_out_with_a_greater_token(self, table: JobTable) -> None:
        first = self.admitted(table)
        self.pass_time(table, 3)
        (second,) = table.claim("b", 3, 10)
        assert second.lease.token > first.lease.token and second.lease.owner == "b"

    def test_the_fence_refuses_whoever_held_the_job_before(self, table: JobTable) -> None:
        first = self.admitted(table)
        self.pass_time(table, 3)
        (second,) = table.claim("b", 3, 10)
        before = table.get(first.job.id)
        with pytest.raises(LeaseLost):
            moved(table, first.lease, BEGIN)
        assert table.get(first.job.id) == before
        moved(table, second.lease, BEGIN)

    def test_an_expired_lease_writes_nothing_even_if_nobody_took_the_job(self, table: JobTable) -> None:
        claim = self.admitted(table)
        self.pass_time(table, 3)
        before = table.get(claim.job.id)
        with pytest.raises(LeaseLost):
            moved(table, claim.lease, BEGIN)
        assert table.get(claim.job.id) == before

    def test_renewing_extends_what_nobody_took(self, table: JobTable) -> None:
        claim = self.admitted(table)
        self.pass_time(table, 2)
        held = table.renew([claim.lease], 3)
        self.pass_time(table, 2)
        assert table.claim("b", 3, 10) == ()
        moved(table, held[claim.job.id], BEGIN)
        self.pass_time(table, 5)
        held = table.renew([claim.lease], 3)
        moved(table, held[claim.job.id], BEGIN)

    def test_a_lease_holds_until_it_expires_is_taken_or_the_job_is_gone(self, table: JobTable) -> None:
        claim = self.admitted(table)
        assert table.holds(claim.lease)
        self.pass_time(table, 3)
        assert not table.holds(claim.lease)
        (second,) = table.claim("b", 3, 10)
        assert table.holds(second.lease) and not table.holds(claim.lease)
        table.release([second.lease])
        assert not table.holds(second.lease)

    def test_renewing_does_not_take_back_what_another_took(self, table: JobTable) -> None:
        claim = self.admitted(table)
        self.pass_time(table, 3)
        table.claim("b", 3, 10)
        assert table.renew([claim.lease], 3) == {}

    def test_a_lease_let_go_is_free_at_once_and_only_its_own(self, table: JobTable) -> None:
        claim = self.admitted(table)
        table.release([claim.lease])
        with pytest.raises(LeaseLost):
            moved(table, claim.lease, BEGIN)
        (second,) = table.claim("b", 3, 10)
        table.release([claim.lease])
        moved(table, second.lease, BEGIN)

    def test_claims_pass_over_what_the_caller_names_and_keep_to_the_limit(self, table: JobTable) -> None:
        ids = [self.admitted(table, number).job.id for number in (1, 2, 3)]
        self.pass_time(table, 3)
        assert [claim.job.id for claim in table.claim("b", 3, 1, ids[:1])] == ids[1:2]

    def test_a_deleted_job_has_no_lease(self, table: JobTable) -> None:
        claim = self.begun(table)
        moved(table, claim.lease, RUN)
        moved(table, claim.lease, DONE)
        table.delete(claim.job.id)
        assert table.renew([claim.lease], 3) == {}
        with pytest.raises(LeaseLost):
            moved(table, claim.lease, DONE)

    # admission

    def test_queued_jobs_are_offered_in_order_of_arrival_beside_the_active_ones(self, table: JobTable) -> None:
        self.admitted(table, 9)
        for number in (3, 1, 2):
            resources = Resources("t", 2, cpus=1.5, memory=10)
            table.create(new_job(number, spec=replace(SPEC, resources=resources)), {}, "")
        seen: list[tuple[Sequence[Demand], Sequence[Demand]]] = []

        def choose(waiting: Sequence[Demand], active: Sequence[Demand]) -> tuple[str, ...]:
            seen.append((waiting, active))
            return ()

        assert table.admit("a", 3, 2, choose, "") == ()
        waiting, active = seen[0]
        assert [one.job_id[-1] for one in waiting] == ["3", "1"]
        assert [(one.cpus, one.memory) for one in waiting] == [(3.0, 20)] * 2
        assert [one.job_id[-1] for one in active] == ["9"]

    def test_an_admitted_job_is_starting_and_leased(self, table: JobTable) -> None:
        claim = self.admitted(table)
        assert claim.job.state == JobState.STARTING and claim.attempt is None
        assert claim.job.transitions[-1].message == "Preparing"
        assert table.admit("b", 3, 10, lambda waiting, _active: [one.job_id for one in waiting], "") == ()

    def test_a_queued_job_is_claimed_when_its_time_to_wait_is_over(self, table: JobTable) -> None:
        table.create(new_job(1, spec=replace(SPEC, max_wait=5)), {}, "")
        assert table.claim("a", 3, 10) == ()
        self.pass_time(table, 5)
        (claim,) = table.claim("a", 3, 10)
        assert claim.job.state == JobState.QUEUED

    # moves

    def test_state_history_and_attempt_change_together(self, table: JobTable) -> None:
        claim = self.begun(table)
        assert claim.attempt is not None and claim.attempt.id == "attempt-1" and claim.job.attempt == 1
        claim = moved(table, claim.lease, RUN)
        assert claim.job.started == 5.0
        result = Result(None, 0, "s3://model", (Metric("loss", 2.0, 1.0), Metric("loss", 1.0, 2.0)))
        claim = moved(table, claim.lease, replace(DONE, result=result))
        job = table.get(claim.job.id)
        assert claim.attempt is None and claim.job == job
        assert (job.state, job.phase, job.exit_code, job.model_artifact) == ("succeeded", "Completed", 0, "s3://model")
        assert job.final_metrics == (Metric("loss", 1.0, 2.0),)
        assert [one.value for one in table.metrics(job.id, "loss")] == [2.0, 1.0]
        assert table.metrics(job.id, None) == table.metrics(job.id, "loss") and table.metrics(job.id, "x") == ()
        assert [one.phase for one in job.transitions] == ["Starting", "Downloading", "Training", "Completed"]
        assert all(one.ended is not None for one in job.transitions)
        assert [one.outcome for one in table.attempts(job.id)] == ["exited"]

    def test_every_change_makes_modified_grow_even_if_no_time_passed(self, table: JobTable) -> None:
        claim = self.begun(table)
        seen = [claim.job.modified]
        for change in (RUN, replace(RUN, phase=Phase.UPLOADING), DONE):
            seen.append(moved(table, claim.lease, change).job.modified)
        assert seen == sorted(set(seen))
        assert table.stamps([claim.job.id, "other"]) == {claim.job.id: seen[-1]}

    def test_an_illegal_move_writes_nothing(self, table: JobTable) -> None:
        claim = self.admitted(table)
        before = table.get(claim.job.id)
        with pytest.raises(IllegalTransition):
            moved(table, claim.lease, replace(DONE, end=None))
        assert table.get(claim.job.id) == before

    def test_an_ended_job_is_let_go_and_moves_no_more(self, table: JobTable) -> None:
        claim = self.begun(table)
        moved(table, claim.lease, RUN)
        moved(table, claim.lease, DONE)
        with pytest.raises(LeaseLost):
            moved(table, claim.lease, DONE)
        self.pass_time(table, 10)
        assert table.claim("b", 3, 10) == () and table.renew([claim.lease], 3) == {}

    def test_a_job_has_at_most_one_active_attempt(self, table: JobTable) -> None:
        claim = self.begun(table)
        before = table.get(claim.job.id)
        with pytest.raises(AttemptActive):
            moved(table, claim.lease, replace(BEGIN, begin=AttemptRecord("attempt-x", 2, 8, 1.0)))
        assert table.get(claim.job.id) == before and len(table.attempts(claim.job.id)) == 1

    def test_many_jobs_move_at_once_each_as_if_it_were_alone(self, table: JobTable) -> None:
        """A lost lease, an illegal move, a second attempt and a stop between them hold up nobody."""
        late = self.admitted(table, 1)
        self.pass_time(table, 3)
        claims = [self.begun(table, number) for number in range(2, 7)]
        before = {job.id: job for job in (table.get(claim.job.id) for claim in (late, *claims))}
        stopped = table.request_stop(claims[1].job.id, "Stopping")
        changes = [BEGIN, RUN, RUN, replace(DONE, end=None, phase=Phase.FAILED), RUN]
        changes[0] = replace(BEGIN, begin=AttemptRecord("attempt-x", 2, 8, 1.0))
        moves = [
            Move(late.lease, BEGIN),
            *(Move(one.lease, change) for one, change in zip(claims, changes, strict=True)),
        ]
        outcomes = table.advance(moves)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [LeaseLost, AttemptActive, Superseded, Claim, IllegalTransition, Claim]
        for move, outcome in zip(moves, outcomes, strict=True):
            now = table.get(move.lease.job_id)
            if isinstance(outcome, Claim):
                assert outcome.job == now and now.state == JobState.RUNNING and outcome.lease == move.lease
            else:
                assert now == (stopped if isinstance(outcome, Superseded) else before[now.id])
        assert table.advance([]) == ()

    def test_an_attempt_may_follow_one_that_ended(self, table: JobTable) -> None:
        claim = self.begun(table)
        moved(table, claim.lease, replace(BEGIN, end="abandoned"))
        claim = moved(table, claim.lease, replace(BEGIN, begin=AttemptRecord("attempt-x", 2, 7, 1.0)))
        assert claim.job.attempt == 2 and claim.attempt is not None and claim.attempt.id == "attempt-x"
        assert [one.outcome for one in table.attempts(claim.job.id)] == ["abandoned", None]

    def test_started_is_when_the_code_first_began(self, table: JobTable) -> None:
        claim = self.begun(table)
        moved(table, claim.lease, RUN)
        again = replace(BEGIN, phase=Phase.INTERRUPTED, end="lost")
        moved(table, claim.lease, again)
        assert moved(table, claim.lease, replace(RUN, started=9.0)).job.started == 5.0

    # stops

    def test_a_stop_needs_no_lease_and_supersedes_what_was_decided_before(self, table: JobTable) -> None:
        claim = self.begun(table)
        job = table.request_stop(claim.job.id, "Stopping")
        assert (job.state, job.phase, job.stop_requested) == (JobState.STOPPING, Phase.STOPPING, True)
        with pytest.raises(Superseded):
            moved(table, claim.lease, RUN)
        assert table.get(job.id) == job
        assert moved(table, claim.lease, STOPPED).job.state == JobState.STOPPED

    def test_a_second_stop_changes_nothing(self, table: JobTable) -> None:
        job = table.create(new_job(1), {}, "")
        assert table.request_stop(job.id, "Stopping") == table.request_stop(job.id, "again")

    def test_a_stop_of_an_ended_or_unknown_job_is_refused(self, table: JobTable) -> None:
        job = table.create(new_job(1, state=JobState.FAILED, phase=Phase.FAILED), {}, "")
        with pytest.raises(Conflict):
            table.request_stop(job.id, "")
        with pytest.raises(NotFound):
            table.request_stop(new_job(2).id, "")

    # documents

    def test_a_document_is_replaced_without_a_lease_and_moves_nothing(self, table: JobTable) -> None:
        claim = self.begun(table)
        job = table.amend(claim.job.id, lambda job: {**job.document, "phase": str(job.phase)})
        assert job.document == {"phase": "Downloading"} and job.modified > claim.job.modified
        assert replace(job, document={}, modified=claim.job.modified) == claim.job
        assert table.get(job.id) == job
        assert moved(table, claim.lease, RUN).job.document == job.document

    def test_an_amendment_that_raises_changes_nothing(self, table: JobTable) -> None:
        job = table.create(new_job(1), {}, "")

        def refuse(_job: Job) -> dict[str, Any]:
            raise Conflict(what="not now")

        with pytest.raises(Conflict):
            table.amend(job.id, refuse)
        assert table.get(job.id) == job
        with pytest.raises(NotFound):
            table.amend(new_job(2).id, lambda _job: {})

    # deletion and freeing

    def test_only_an_ended_job_can_be_deleted_and_goes_whole(self, table: JobTable) -> None:
        claim = self.begun(table)
        with pytest.raises(Conflict):
            table.delete(claim.job.id)
        moved(table, claim.lease, RUN)
        result = Result(metrics=(Metric("loss", 1.0, 1.0),))
        moved(table, claim.lease, replace(DONE, result=result))
        table.delete(claim.job.id)
        with pytest.raises(NotFound):
            table.get(claim.job.id)
        assert table.attempts(claim.job.id) == () and table.metrics(claim.job.id, None) == ()
        table.create(new_job(1), {}, "")

    def test_an_ended_job_is_untidy_until_it_is_said_to_be_tidy(self, table: JobTable) -> None:
        claim = self.begun(table)
        moved(table, claim.lease, RUN)
        assert table.untidy(10, table.now() + 60) == ()
        job = moved(table, claim.lease, DONE).job
        assert table.untidy(10, (job.ended or 0) - 1) == ()
        assert table.untidy(10, (job.ended or 0) + 1) == (job,)
        table.mark_tidy([job.id])
        assert table.untidy(10, (job.ended or 0) + 1) == ()

    # listing

    def test_pages_show_every_job_once_in_both_orders(self, table: JobTable) -> None:
        for number in range(1, 8):
            table.create(new_job(number, f"job-{number % 3}-{number}"), {}, "")
            self.pass_time(table, number % 2)
        for sort_by in ("name", "created", "state", "modified"):
            for order in ("ascending", "descending"):
                listing = Listing(sort_by=sort_by, order=order, limit=3)
                seen: list[Job] = []
                while True:
                    page = table.list(JobQuery(listing))
                    seen += page.items
                    if page.next is None:
                        break
                    listing = replace(listing, after=page.next)
                keys = [(getattr(job, sort_by), job.id) for job in seen]
                assert len(seen) == 7 and keys == sorted(keys, reverse=order == "descending")

    def test_states_sort_as_they_are_shown(self, table: JobTable) -> None:
        claim = self.begun(table, 1)
        moved(table, claim.lease, RUN)
        moved(table, claim.lease, DONE)
        table.create(new_job(2, state=JobState.FAILED, phase=Phase.FAILED), {}, "")
        self.admitted(table, 3)
        table.create(new_job(4), {}, "")
        table.request_stop(table.create(new_job(5), {}, "").id, "")
        page = table.list(JobQuery(Listing(sort_by="state", order="ascending")))
        assert [job.state for job in page.items] == ["succeeded", "failed", "starting", "queued", "stopping"]

    def test_filters_select(self, table: JobTable) -> None:
        first = table.create(new_job(1, "alpha"), {}, "")
        self.pass_time(table, 10)
        second = table.create(new_job(2, "beta", door="ml_models", region="eu-west-1"), {}, "")

        def names(**filters: Any) -> list[str]:
            listing = {name: filters.pop(name) for name in list(filters) if hasattr(Listing(), name)}
            return [job.name for job in table.list(JobQuery(Listing(**listing), **filters)).items]

        assert names(name_contains="et") == ["beta"] and names(name_contains="%") == []
        assert names(created=Between(after=first.created)) == ["beta"]
        assert names(created=Between(before=second.created)) == ["alpha"]
        assert names(modified=Between(first.created, second.created)) == []
        assert names(states=frozenset({"queued"})) == ["beta", "alpha"] and names(states=frozenset()) == []
        assert names(door="ml_models") == ["beta"] and names(region="us-east-1") == ["alpha"]
        assert names(kind="training", limit=1) == ["beta"]
