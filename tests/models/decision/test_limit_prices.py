"""Prices of limits: exact on tables that can be enumerated, next to the linear program beyond."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from winback.models.decision.limit_prices import limit_prices


def within(profit, cost, **limits):
    """The option of each customer that is worth most at the prices of the limits."""
    money, prices = limit_prices(profit, cost, **limits)
    return np.argmax(np.asarray(profit) - money * np.asarray(cost) - prices, axis=1)


def linear_program(profit, cost, budget=None, capacity=None):
    """The textbook program over every customer and option, dense."""
    rows, options = profit.shape
    forbidden = ~np.isfinite(profit)
    above, room = [], []
    if budget is not None:
        above.append(cost.ravel())
        room.append(budget)
    for option, most in enumerate(capacity if capacity is not None else []):
        if np.isfinite(most):
            use = np.zeros((rows, options))
            use[:, option] = 1
            above.append(use.ravel())
            room.append(most)
    found = linprog(
        -np.where(forbidden, 0, profit).ravel(),
        A_ub=np.array(above) if above else None,
        b_ub=room or None,
        A_eq=np.kron(np.eye(rows), np.ones(options)),
        b_eq=np.ones(rows),
        bounds=[(0, 0 if no else 1) for no in forbidden.ravel()],
    )
    return -found.fun


def total(table, chosen):
    return table[np.arange(len(table)), chosen].sum()


def problem(rows, offers=3, seed=0, forbid=0.1):
    rng = np.random.default_rng(seed)
    cost = np.column_stack([np.zeros(rows), rng.uniform(1, 20, (rows, offers))])
    profit = np.column_stack([np.zeros(rows), rng.normal(5, 8, (rows, offers))])
    profit[:, 1:][rng.random((rows, offers)) < forbid] = -np.inf
    return profit, cost


def test_without_limits_everybody_gets_the_best_and_ties_go_to_the_control():
    profit = np.array([[0.0, 5, 3], [0, -1, -2], [0, 0, 0], [1, -np.inf, 4]])
    assert within(profit, np.tile([0, 1, 2], (4, 1))).tolist() == [1, 0, 0, 2]


def test_budget_buys_the_best_gain_per_money_first():
    # gains per money: 10/1, 10/5, 10/10
    profit, cost = np.array([[0.0, 10]] * 3), np.array([[0.0, 10], [0, 1], [0, 5]])
    assert within(profit, cost, budget=6).tolist() == [0, 1, 1]
    assert within(profit, cost, budget=5.9).tolist() == [0, 1, 0]
    assert within(profit, cost, budget=0).tolist() == [0, 0, 0]


def test_a_dominated_offer_is_never_a_step():
    # the middle offer lies below the line from nothing to the large one
    profit, cost = np.array([[0.0, 1, 10], [0, 1, 9]]), np.array([[0.0, 5, 10]] * 2)
    assert within(profit, cost, budget=15).tolist() == [2, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 60))
def test_budget_is_one_step_from_the_linear_program(seed, budget):
    profit, cost = problem(12, seed=seed)
    chosen = within(profit, cost, budget=budget)
    assert total(cost, chosen) <= budget + 1e-9
    best_step = np.where(np.isfinite(profit), profit, 0).max()
    gap = linear_program(profit, cost, budget) - total(profit, chosen)
    assert -1e-6 <= gap <= best_step + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 6), st.integers(0, 6))
def test_capacities_alone_equal_the_linear_program(seed, first, second):
    profit, cost = problem(12, seed=seed)
    capacity = np.array([np.inf, first, second, np.inf])
    chosen = within(profit, cost, capacity=capacity)
    assert (np.bincount(chosen, minlength=4) <= capacity).all()
    expected = linear_program(profit, cost, capacity=capacity)
    assert total(profit, chosen) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4), st.floats(0, 60))
def test_budget_and_capacity_are_few_steps_from_the_linear_program(seed, most, budget):
    profit, cost = problem(12, seed=seed)
    capacity = np.array([np.inf, most, most, np.inf])
    chosen = within(profit, cost, budget=budget, capacity=capacity)
    assert total(cost, chosen) <= budget + 1e-6
    assert (np.bincount(chosen, minlength=4) <= capacity).all()
    best_step = np.where(np.isfinite(profit), profit, 0).max()
    gap = linear_program(profit, cost, budget, capacity) - total(profit, chosen)
    assert -1e-6 <= gap <= 3 * best_step + 1e-6


def test_small_table_equals_trying_everything():
    profit, cost = problem(6, offers=2, seed=4, forbid=0)
    capacity = np.array([np.inf, 2, 1])
    best = max(
        total(profit, np.array(choice))
        for choice in product(range(3), repeat=6)
        if (np.bincount(choice, minlength=3) <= capacity).all()
    )
    assert total(profit, within(profit, cost, capacity=capacity)) == pytest.approx(best)


def test_many_customers_are_priced_and_stay_next_to_the_linear_program():
    profit, cost = problem(4_000, seed=2)
    capacity, budget = np.array([np.inf, 700, 300, 900]), 9_000.0
    chosen = within(profit, cost, budget=budget, capacity=capacity)
    assert total(cost, chosen) <= budget + 1e-6
    assert (np.bincount(chosen, minlength=4) <= capacity).all()
    whole = sparse_bound(profit, cost, budget, capacity)
    assert 0 <= whole - total(profit, chosen) + 1e-6 <= 4 * profit.max()
    assert total(profit, chosen) > 0.997 * whole


def sparse_bound(profit, cost, budget, capacity):
    """Linear program over all 4,000, with sparse matrices."""
    from scipy import sparse

    rows, options = profit.shape
    forbidden = ~np.isfinite(profit)
    use = sparse.kron(np.ones((1, rows)), sparse.eye(options)).tocsr()[1:]
    found = linprog(
        -np.where(forbidden, 0, profit).ravel(),
        A_ub=sparse.vstack([use, sparse.csr_array(cost.reshape(1, -1))]),
        b_ub=np.r_[capacity[1:], budget],
        A_eq=sparse.kron(sparse.eye(rows), np.ones((1, options))),
        b_eq=np.ones(rows),
        bounds=np.column_stack([np.zeros(rows * options), np.where(forbidden, 0, 1).ravel()]),
    )
    return -found.fun


def test_customers_who_are_alike_get_the_same_and_leave_limits_unused():
    profit, cost = np.tile([0.0, 5, 4], (10_000, 1)), np.tile([0.0, 2, 1], (10_000, 1))
    assert np.bincount(within(profit, cost, budget=9_999)).tolist() == [10_000]
    assert np.bincount(within(profit, cost, budget=10_000)).tolist() == [0, 0, 10_000]
    chosen = within(profit, cost, capacity=[np.inf, 3_000, np.inf])
    assert np.bincount(chosen).tolist() == [0, 0, 10_000]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cost": np.zeros((2, 3))}, "of one shape"),
        ({"profit": np.array([[0, np.nan], [0, 1]])}, "found NaN or infinity"),
        ({"profit": np.array([[-np.inf, 1], [0, 1]])}, "control is never forbidden"),
        ({"cost": np.array([[1.0, 0], [0, 1]])}, "cheaper than the control"),
        ({"capacity": [np.inf, -1]}, "at least 0"),
        ({"capacity": [3, 1]}, "inf for the control"),
        ({"budget": -1.0}, "budget -1 is below 0"),
    ],
)
def test_bad_input_is_refused(change, words):
    arguments = {"profit": np.array([[0.0, 1], [0, 1]]), "cost": np.array([[0.0, 1], [0, 1]])}
    with pytest.raises(ValueError, match=words):
        limit_prices(**(arguments | change))


def test_nothing_scarce_has_no_price():
    money, places = limit_prices([[0.0, 5.0]], [[0.0, 1.0]], budget=10.0)
    assert (money, places.tolist()) == (0.0, [0.0, 0.0])
