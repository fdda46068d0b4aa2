"""Prices that keep offers within a budget and capacities (multiple-choice knapsack).

What is scarce gets a price, money and each offer of which there are so many, and every customer
the option that is worth most at these prices. So a customer is decided on without regard to the
others, in the list as in a batch that is scored later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from ..concave_hull import efficient_steps

PRICE_STEPS = 200
TOLERANCE = 1e-9


@dataclass(frozen=True)
class _Limits:
    """Limits: money in all, and number of customers per option (inf: no limit)."""

    budget: float
    capacity: np.ndarray


def limit_prices(
    profit: ArrayLike,
    cost: ArrayLike,
    *,
    budget: float | None = None,
    capacity: ArrayLike | None = None,
) -> tuple[float, np.ndarray]:
    """Prices at which every customer's own best option keeps to the limits.

    Taking in each row the first option of the largest `profit - money * cost - option_prices`
    keeps to the limits. Where customers differ, the total profit is a few options (as many as
    there are limits) short of the linear program's. Customers who are alike get the same option,
    so that a limit may not be used to the last.

    Parameters
    ----------
    profit
        (rows, options) money or any gain; column 0 is the control. -inf forbids an option to a
        customer (never the control).
    cost
        (rows, options) money that counts against the budget.
    budget
        Largest total cost; None is no limit.
    capacity
        (options,) largest number of customers per option; inf or None is no limit. The control
        has none.

    Returns
    -------
    money
        Profit that a unit of money must bring; 0 where the budget is enough.
    option_prices
        (options,) profit that each use of an option must bring; 0 for the control.

    Raises
    ------
    ValueError
        On shapes that differ, NaN, an option cheaper than the control, a limit below 0, a limited
        control, or a budget below what the control costs.

    Notes
    -----
    Sinha & Zoltners 1979 (convex hulls); Kelley 1960 (cutting planes).
    """
    gains, costs = _checked(profit, cost)
    limits = _limits(costs, budget, capacity)
    money, option_prices = 0.0, np.zeros(gains.shape[1])
    if _fits(np.argmax(gains, axis=1), costs, limits):
        return money, option_prices
    if np.isfinite(limits.capacity).any():
        money, option_prices = _lowest_bound(gains, costs, limits)
    beyond = TOLERANCE * max(1.0, float(np.abs(gains[np.isfinite(gains)]).max()))
    rows = np.arange(len(gains))
    while True:  # prices only rise, up to where nobody takes anything
        reduced = gains - money * costs - option_prices
        chosen = np.argmax(reduced, axis=1)
        if _fits(chosen, costs, limits):
            return money, option_prices
        if costs[rows, chosen].sum() > limits.budget:
            needed = _money_price(gains - option_prices, costs, limits.budget)
            money = max(needed, money) * (1 + TOLERANCE) + beyond
            continue
        used = np.bincount(chosen, minlength=len(option_prices))
        option = int(np.argmax(used - limits.capacity))
        takers = reduced[chosen == option]
        others = np.delete(takers, option, axis=1).max(axis=1)
        margins = np.sort(takers[:, option] - others)[::-1]
        option_prices[option] += margins[int(limits.capacity[option])] + beyond


def _money_price(profit: np.ndarray, cost: np.ndarray, budget: float) -> float:
    """Gain per money of the first step that the budget does not pay for."""
    steps = efficient_steps(profit, cost)
    order = np.argsort(-steps.slopes, kind="stable")
    spent = cost[np.arange(len(profit)), steps.start].sum() + np.cumsum(steps.costs[order])
    paid = int(np.searchsorted(spent, budget, "right"))
    return float(steps.slopes[order[paid]]) if paid < len(order) else 0.0


def _lowest_bound(
    profit: np.ndarray, cost: np.ndarray, limits: _Limits
) -> tuple[float, np.ndarray]:
    """Prices of money and of each option at which the Lagrangian bound is the lowest."""
    options, rows = profit.shape[1], np.arange(len(profit))
    finite = np.flatnonzero(np.isfinite(limits.capacity))
    with_budget = bool(np.isfinite(limits.budget))
    room = np.r_[[limits.budget] if with_budget else [], limits.capacity[finite]]
    highest = _highest_prices(profit, cost, with_budget, len(finite))

    def named(prices: np.ndarray) -> tuple[float, np.ndarray]:
        of_options = np.zeros(options)
        of_options[finite] = prices[int(with_budget) :]
        return (float(prices[0]) if with_budget else 0.0), of_options

    prices, best_prices, best_bound = np.zeros(len(room)), np.zeros(len(room)), np.inf
    slopes, offsets = [], []
    for _ in range(PRICE_STEPS):
        money, option_prices = named(prices)
        reduced = profit - money * cost - option_prices
        chosen = np.argmax(reduced, axis=1)
        value = float(reduced[rows, chosen].sum() + prices @ room)
        used = np.bincount(chosen, minlength=options)[finite]
        spent = float(cost[rows, chosen].sum())
        gradient = room - np.r_[[spent] if with_budget else [], used]
        if value < best_bound:
            best_bound, best_prices = value, prices
        slopes.append(gradient)
        offsets.append(value - gradient @ prices)
        solution = linprog(
            np.r_[np.zeros(len(room)), 1.0],
            A_ub=np.column_stack([np.array(slopes), -np.ones(len(slopes))]),
            b_ub=-np.array(offsets),
            bounds=[*((0.0, top) for top in highest), (None, None)],
            method="highs",
        )
        if solution.x is None or best_bound - solution.x[-1] <= 1e-7 * max(1.0, abs(best_bound)):
            break
        # half way to the best prices so far: plain cutting planes swing from corner to corner
        prices = (solution.x[:-1] + best_prices) / 2
    return named(best_prices)


def _highest_prices(
    profit: np.ndarray, cost: np.ndarray, with_budget: bool, capacities: int
) -> list[float]:
    """Prices beyond which nobody would be given anything but the control."""
    gain = np.where(np.isfinite(profit), profit - profit[:, :1], 0.0)
    extra = cost - cost[:, :1]
    paid = (gain > 0) & (extra > 0)
    dearest = float((gain[paid] / extra[paid]).max()) if paid.any() else 0.0
    return [dearest] * int(with_budget) + [float(gain.max())] * capacities


def _checked(profit: ArrayLike, cost: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    gains, costs = np.asarray(profit, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    if gains.ndim != 2 or gains.shape != costs.shape:
        raise ValueError(
            "limits: profit and cost must be tables (customers, options) of one shape, found "
            f"{gains.shape} and {costs.shape}"
        )
    if np.isnan(gains).any() or (gains == np.inf).any() or not np.isfinite(gains[:, 0]).all():
        raise ValueError(
            "limits: profit must be a number, or -inf where an option is forbidden, and the "
            "control is never forbidden; found NaN or infinity"
        )
    if not (np.isfinite(costs).all() and (costs >= costs[:, :1]).all()):
        raise ValueError(
            "limits: cost must be finite and no option may be cheaper than the control in column 0"
        )
    return gains, costs


def _limits(cost: np.ndarray, budget: float | None, capacity: ArrayLike | None) -> _Limits:
    options = cost.shape[1]
    most = np.full(options, np.inf) if capacity is None else np.asarray(capacity, dtype=np.float64)
    if most.shape != (options,) or (most < 0).any() or np.isfinite(most[0]):
        raise ValueError(
            f"limits: capacity must hold {options} numbers of at least 0, inf for no limit, and "
            f"inf for the control in column 0; found {most.tolist()}"
        )
    money = np.inf if budget is None else float(budget)
    if not cost[:, 0].sum() <= money:
        raise ValueError(
            f"limits: budget {money:g} is below {cost[:, 0].sum():g}, what the control alone "
            "costs; raise it"
        )
    return _Limits(money, np.floor(most))


def _fits(chosen: np.ndarray, cost: np.ndarray, limits: _Limits) -> bool:
    spent = float(cost[np.arange(len(cost)), chosen].sum())
    used = np.bincount(chosen, minlength=cost.shape[1])
    return spent <= limits.budget and bool((used <= limits.capacity).all())
