"""The largest return on all the money that is spent."""

from itertools import product

import numpy as np
import pytest

from winback.models.total_return import best_at, best_rate


def return_of(chosen, gain, cost):
    rows = np.arange(len(chosen))
    return gain[rows, chosen].sum() / cost[rows, chosen].sum()


@pytest.mark.parametrize("seed", range(20))
def test_no_other_choice_returns_more_on_all_the_money(seed):
    rng = np.random.default_rng(seed)
    gain, cost = rng.uniform(0.1, 5, (6, 3)), rng.uniform(0.5, 9, (6, 3))
    rate = best_rate(gain, cost)
    most = max(return_of(np.array(one), gain, cost) for one in product(range(3), repeat=6))
    assert rate == pytest.approx(most)
    assert return_of(best_at(rate, gain, cost), gain, cost) == pytest.approx(most)


def test_the_best_ratio_of_each_customer_is_not_the_best_ratio_of_all():
    gain = np.array([[1.0, 9.0], [50.0, 60.0]])
    cost = np.array([[0.1, 1.0], [100.0, 150.0]])  # ratios 10 and 9; .5 and .4
    chosen = best_at(best_rate(gain, cost), gain, cost)
    assert chosen.tolist() == [1, 0]
    assert return_of(chosen, gain, cost) > return_of(np.array([0, 0]), gain, cost)


def test_customers_without_a_gain_and_forbidden_offers_do_not_count():
    gain = np.array([[2.0, -np.inf], [-1.0, -2.0], [-0.5, 3.0]])
    cost = np.array([[4.0, 1.0], [0.1, 0.1], [0.1, 1.0]])
    assert best_rate(gain, cost) == pytest.approx(5.0 / 5.0)
    assert best_rate(gain[1:2], cost[1:2]) == 0.0
    assert best_rate(np.ones((2, 1)), np.zeros((2, 1))) == 0.0
