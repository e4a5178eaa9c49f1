"""The first Describe after a change is held until it settles or the time is up; every other answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from modelyard.base.clock import SteppedClock
from modelyard.base.errors import NotFound
from modelyard.dialects.sagemaker.hold import Holds


class Waiting:
    """Holds whose pauses step the clock instead of waiting."""

    def __init__(self, seconds: float = 8) -> None:
        self.clock = SteppedClock()
        self.start = self.clock.now()
        self.holds = Holds(seconds, self.clock, self.pause)

    async def pause(self, seconds: float) -> None:
        self.clock.step(seconds)

    @property
    def waited(self) -> float:
        return self.clock.now() - self.start

    def read(self, states: Iterator[str], first: str = "running") -> str:
        return asyncio.run(self.holds.read("a", lambda: next(states), lambda state: state == "done", first))


def forever(state: str) -> Iterator[str]:
    while True:
        yield state


def test_an_object_that_did_not_change_is_answered_at_once() -> None:
    waiting = Waiting()
    waiting.holds.mark("b")
    assert waiting.read(forever("done")) == "running"
    assert waiting.waited == 0


def test_the_first_read_waits_for_the_end_and_the_second_does_not() -> None:
    waiting = Waiting()
    waiting.holds.mark("a")
    assert waiting.read(iter(["running"] * 5 + ["done"])) == "done"
    assert 0 < waiting.waited < 1
    assert waiting.read(forever("done")) == "running"


def test_a_long_change_is_answered_when_the_time_is_up() -> None:
    waiting = Waiting(8)
    waiting.holds.mark("a")
    assert waiting.read(forever("running")) == "running"
    assert 8 <= waiting.waited < 8.5


def test_a_settled_object_is_not_waited_for() -> None:
    waiting = Waiting()
    waiting.holds.mark("a")
    assert waiting.read(forever("running"), first="done") == "done"
    assert waiting.waited == 0


def test_zero_seconds_never_hold() -> None:
    waiting = Waiting(0)
    waiting.holds.mark("a")
    assert waiting.read(forever("done")) == "running"


def test_an_object_that_goes_meanwhile_ends_the_hold() -> None:
    def gone() -> Iterator[str]:
        yield "running"
        raise NotFound(kind="endpoint", name="a")

    waiting = Waiting()
    waiting.holds.mark("a")
    with pytest.raises(NotFound):
        waiting.read(gone())


def test_what_is_remembered_is_bounded() -> None:
    waiting = Waiting()
    for number in range(20_000):
        waiting.holds.mark(str(number))
    waiting.holds.mark("a")
    assert waiting.read(forever("done")) == "done"
