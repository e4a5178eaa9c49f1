"""Shares are exact within 1 over any 1,000 picks, and in the long run."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.edge.wheel import Wheel


def worst(sequence, weights, window=1000):
    """The largest deviation of any variant's count in any window from its exact share."""
    total, most = sum(weights), 0.0
    for index, weight in enumerate(weights):
        before = [0]
        for pick in sequence:
            before.append(before[-1] + (pick == index))
        exact = window * weight / total
        off = [abs(after - b - exact) for b, after in zip(before, before[window:], strict=False)]
        most = max(most, *off)
    return most


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_any_thousand_requests_are_within_one_of_exact(weights):
    wheel = Wheel(weights)
    assert worst([wheel.pick() for _ in range(3500)], weights) <= 1


@pytest.mark.parametrize("weights", [[1, 1, 1], [1e-4, 1, 1], [2 / 3, 0.5, 0.1234, 7], [1] * 7, [5, 0, 1], [0, 1, 0]])
def test_shares_are_exact_in_the_long_run(weights):
    wheel = Wheel(weights)
    counts = [0] * len(weights)
    for _ in range(200_000):
        counts[wheel.pick()] += 1
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - 200_000 * weight / sum(weights)) <= 3


def test_requests_alternate_rather_than_come_in_blocks():
    wheel = Wheel([1, 1])
    assert [wheel.pick() for _ in range(6)] in ([0, 1] * 3, [1, 0] * 3)


@pytest.mark.parametrize("weights", [[0.0], [1.0, -1.0]])
def test_weights_that_cannot_be(weights):
    with pytest.raises(ValueError):
        Wheel(weights)


def test_many_random_weights():
    rng = random.Random(7)
    for variants in (2, 3, 5, 8):
        weights = [rng.random() ** 3 + 1e-6 for _ in range(variants)]
        wheel = Wheel(weights)
        assert worst([wheel.pick() for _ in range(5000)], weights) <= 1
