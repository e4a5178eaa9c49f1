"""Thirty endpoints over the real pool come and go while every processor is taken: none stays between two states."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.app.loops import Loop
from modelyard.core.deployments.model import EndpointState
from modelyard.core.deployments.states import SETTLED
from tests.contract.serving.house import ServingHouse

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]

ROUNDS, AT_ONCE = 6, 5
PATIENCE = 60.0
"""Seconds for one round; measured: 7 to 11 with three busy processes for each processor."""
CODE = {"inference.py": b"def model_fn(folder):\n    return 1\n"}


def _burn() -> None:
    while True:
        pass


@pytest.fixture
def load() -> Iterator[None]:
    """Nothing is left of the processors."""
    burning = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(2 * (os.cpu_count() or 1))]
    for process in burning:
        process.start()
    yield
    for process in burning:
        process.kill()
        process.join()


def test_endpoints_under_load_are_made_and_deleted_without_end(tmp_path: Path, load: None) -> None:
    house = ServingHouse(tmp_path / "data")
    house.model("m", {"x": b"1"}, code=CODE)
    house.config("c", "m", 1)
    loop = Loop("deployments", house.controller.step, 0.5)
    house.changes.listen(loop.wake)
    loop.start()
    try:
        for _ in range(ROUNDS):
            names = [f"e{number}" for number in range(AT_ONCE)]
            for name in names:
                house.service.create(name, "c", "sagemaker", "us-east-1", {})
            _until(house, lambda: all(one.state in SETTLED for one in house.table.all()))
            assert [one.state for one in house.table.all()] == [EndpointState.SERVING] * AT_ONCE, house.table.all()
            assert all(house.sockets(name) for name in names)
            for name in names:
                house.service.delete(name)
            _until(house, lambda: not house.table.all())
    finally:
        loop.stop()
        house.close()


def _until(house: ServingHouse, done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, (house.table.all(), house.table.workers())
        time.sleep(0.05)
