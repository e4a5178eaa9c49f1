"""What a controller remembers of a job whose lease it holds.

Owns no truth: all of it may be lost at any point, and the next holder finds it out again.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from modelyard.core.jobs.model import Job
from modelyard.core.jobs.ports import Collected, Observation
from modelyard.core.jobs.table import AttemptRecord, Claim


@dataclass(slots=True)
class Held:
    """Times are of the monotonic clock. ``work`` is the long task under way, ``kind`` what it does;
    ``syncing`` stores checkpoints beside it."""

    claim: Claim
    work: Future[Any] | None = None
    kind: str = ""
    launched: float | None = None
    told: bool = False
    syncing: Future[Any] | None = None
    synced: float = 0.0
    seen: Observation | None = None
    collected: Collected | None = None
    rest_until: float = 0.0

    @property
    def job(self) -> Job:
        return self.claim.job

    @property
    def attempt(self) -> AttemptRecord | None:
        return self.claim.attempt

    def forget_attempt(self) -> None:
        """A new attempt starts with nothing known of it."""
        self.launched, self.told, self.seen, self.collected = None, False, None, None
