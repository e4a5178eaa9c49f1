"""Loops survive what their step raises, and rest between two passes however often they are woken."""

from __future__ import annotations

import itertools
import threading
import time

from modelyard.app.loops import Loop

REST = 0.02


def test_a_loop_that_is_woken_all_the_time_rests_between_two_steps() -> None:
    began: list[float] = []
    done = threading.Event()

    def step() -> None:
        began.append(time.monotonic())
        loop.wake()
        if len(began) == 4:
            done.set()

    loop = Loop("test", step, pause=60, rest=REST)
    loop.start()
    assert done.wait(10)
    loop.stop()
    assert all(after - before >= REST for before, after in itertools.pairwise(began[:4]))


def test_a_step_that_raises_is_not_tried_sooner_for_being_woken() -> None:
    began: list[float] = []
    done = threading.Event()

    def step() -> None:
        began.append(time.monotonic())
        loop.wake()
        if len(began) == 3:
            done.set()
        raise OSError("the disk is full")

    loop = Loop("test", step, pause=REST)
    loop.start()
    assert done.wait(10)
    loop.stop()
    assert began[1] - began[0] >= 2 * REST
    assert began[2] - began[1] >= 4 * REST


def test_a_step_that_raises_is_tried_again() -> None:
    calls = itertools.count(1)
    done = threading.Event()

    def step() -> None:
        if next(calls) < 3:
            raise OSError("the disk is full")
        done.set()

    loop = Loop("test", step, pause=0.001)
    loop.start()
    assert done.wait(10)
    loop.stop()
