"""The largest probabilities, from counts: the same whatever the parts, and as good as exact."""

import numpy as np
import pytest

from winback.models.evaluation.top_share import stepwise, sum_of_highest

CHANCES = np.random.default_rng(0).beta(1, 9, 10_000)


def test_the_sum_of_the_highest_is_that_of_sorted_ones():
    counts = stepwise(CHANCES[:3_000]) + stepwise(CHANCES[3_000:])
    for count in (1, 1_000, 9_999, 10_000):
        exact = np.sort(CHANCES)[::-1][:count].sum()
        assert sum_of_highest(counts, count) == pytest.approx(exact, abs=count / 65_536)
    assert sum_of_highest(counts, 10_000) == pytest.approx(CHANCES.sum())


def test_of_equal_ones_each_counts_alike():
    assert sum_of_highest(stepwise(np.array([0.0, 0.5, 0.5, 1.0])), 2) == pytest.approx(1.5)
