"""Which customer gets which offer under a budget and capacities (multiple-choice knapsack).

With a budget alone the efficient steps of all customers are taken in order of gain per money.
With capacities the problem is priced (a price for money and one per offer), and the few customers
for whom the prices leave the choice open are settled by a linear program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from ..concave_hull import efficient_steps

CORE_GROUPS = 1_000  # groups of equal customers that the linear program settles, at first
GAP_SHARE = 1e-5  # of the gain at stake: the program's total is this near the bound, or it grows
PRICE_STEPS = 200
TOLERANCE = 1e-9


@dataclass(frozen=True)
class _Limits:
    """Limits: money in all, and number of customers per option (inf: no limit)."""

    budget: float
    capacity: np.ndarray


def allocate(
    profit: ArrayLike,
    cost: ArrayLike,
    *,
    budget: float | None = None,
    capacity: ArrayLike | None = None,
) -> np.ndarray:
    """One option per customer, with the largest total profit within the limits.

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
    (rows,) int
        Chosen column. The total is at most one option short of the linear program's with a
        budget alone, and a few (as many as there are limits) with capacities. Ties go to the
        lower column.

    Raises
    ------
    ValueError
        On shapes that differ, NaN, an option cheaper than the control, a limit below 0, a limited
        control, or a budget below what the control costs.

    Notes
    -----
    Sinha & Zoltners 1979 (convex hulls); Kelley 1960 (cutting planes, for the prices).
    """
    gains, costs = _checked(profit, cost)
    limits = _limits(costs, budget, capacity)
    free = np.argmax(gains, axis=1)
    if _fits(free, costs, limits):
        return free
    if np.isinf(limits.capacity).all():
        return _climb_hulls(gains, costs, limits.budget)
    return _price_and_settle(gains, costs, limits)


def limit_prices(
    profit: ArrayLike,
    cost: ArrayLike,
    *,
    budget: float | None = None,
    capacity: ArrayLike | None = None,
) -> tuple[float, np.ndarray]:
    """Prices at which every customer's own best option keeps to the limits.

    Arguments as in `allocate`. Taking in each row the first option of the largest
    `profit - money * cost - option_prices` keeps the limits without regard to the other rows;
    customers who are alike get the same option, so that a limit may not be used to the last.

    Returns
    -------
    money
        Profit that a unit of money must bring; 0 where the budget is enough.
    option_prices
        (options,) profit that each use of an option must bring; 0 for the control.
    """
    gains, costs = _checked(profit, cost)
    limits = _limits(costs, budget, capacity)
    money, option_prices = 0.0, np.zeros(gains.shape[1])
    if _fits(np.argmax(gains, axis=1), costs, limits):
        return money, option_prices
    if np.isfinite(limits.capacity).any():
        money, option_prices, _ = _prices(gains, costs, np.ones(len(gains)), limits)
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


def _climb_hulls(profit: np.ndarray, cost: np.ndarray, budget: float) -> np.ndarray:
    steps = efficient_steps(profit, cost)
    order = np.lexsort((steps.rows, -steps.slopes))
    spent = cost[np.arange(len(profit)), steps.start].sum() + np.cumsum(steps.costs[order])
    taken = order[: int(np.searchsorted(spent, budget * (1 + TOLERANCE) + TOLERANCE, "right"))]
    chosen = steps.start.copy()
    chosen[steps.rows[taken]] = steps.after[taken]  # of several steps of a row the last one stays
    return chosen


def _price_and_settle(profit: np.ndarray, cost: np.ndarray, limits: _Limits) -> np.ndarray:
    """Customers with equal rows form a group; groups with an open choice form the core."""
    groups, group_of_row, counts = np.unique(
        np.hstack([profit, cost]), axis=0, return_inverse=True, return_counts=True
    )
    options = profit.shape[1]
    gains, costs = groups[:, :options], groups[:, options:]
    money, option_prices, bound = 0.0, np.zeros(options), np.inf
    if len(groups) > CORE_GROUPS:
        money, option_prices, bound = _prices(gains, costs, counts, limits)
    reduced = gains - money * costs - option_prices
    first = np.argmax(reduced, axis=1)
    ordered = np.sort(reduced, axis=1)
    by_margin = np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")
    at_stake = max(bound - float(counts @ gains[:, 0]), TOLERANCE)
    size = CORE_GROUPS
    while True:
        core, rest = np.sort(by_margin[:size]), np.sort(by_margin[size:])
        held = np.zeros((len(groups), options), dtype=np.int64)
        held[rest, first[rest]] = counts[rest]
        left = _left_over(held, costs, limits)
        if left.budget >= 0 and (left.capacity >= 0).all():
            settled, total = _settle(gains[core], costs[core], counts[core], left)
            held[core] = settled
            total += float(counts[rest] @ gains[rest, first[rest]])
            if bound - total <= GAP_SHARE * at_stake or not len(rest):
                return _hand_out(held, np.ravel(group_of_row))
        elif not len(rest):
            raise ValueError("allocate: the limits leave no option to some customers; raise them")
        size *= 4


def _hand_out(held: np.ndarray, group_of_row: np.ndarray) -> np.ndarray:
    """Options per group given to the group's customers, in the order of the rows."""
    order = np.argsort(group_of_row, kind="stable")
    given = np.repeat(np.tile(np.arange(held.shape[1]), len(held)), held.ravel())
    chosen = np.empty(len(group_of_row), dtype=np.int64)
    chosen[order] = given
    return chosen


def _left_over(held: np.ndarray, cost: np.ndarray, limits: _Limits) -> _Limits:
    spent = float((held * cost).sum())
    slack = TOLERANCE * max(1.0, abs(spent))
    return _Limits(limits.budget - spent + slack, limits.capacity - held.sum(axis=0))


def _prices(
    profit: np.ndarray, cost: np.ndarray, counts: np.ndarray, limits: _Limits
) -> tuple[float, np.ndarray, float]:
    """Prices of money and of each option with the least Lagrangian bound, and that bound."""
    options = profit.shape[1]
    finite = np.flatnonzero(np.isfinite(limits.capacity))
    with_budget = bool(np.isfinite(limits.budget))
    room = np.r_[[limits.budget] if with_budget else [], limits.capacity[finite]]
    highest = _highest_prices(profit, cost, with_budget, len(finite))
    prices, best_prices, best_bound = np.zeros(len(room)), np.zeros(len(room)), np.inf
    slopes, offsets = [], []
    for _ in range(PRICE_STEPS):
        money, option_prices = _named(prices, with_budget, finite, options)
        reduced = profit - money * cost - option_prices
        chosen = np.argmax(reduced, axis=1)
        rows = np.arange(len(profit))
        value = float(counts @ reduced[rows, chosen] + prices @ room)
        used = np.bincount(chosen, counts, minlength=options)[finite]
        spent = float(counts @ cost[rows, chosen])
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
    return (*_named(best_prices, with_budget, finite, options), best_bound)


def _highest_prices(
    profit: np.ndarray, cost: np.ndarray, with_budget: bool, capacities: int
) -> list[float]:
    """Prices beyond which nobody would be given anything but the control."""
    gain = np.where(np.isfinite(profit), profit - profit[:, :1], 0.0)
    extra = cost - cost[:, :1]
    paid = (gain > 0) & (extra > 0)
    dearest = float((gain[paid] / extra[paid]).max()) if paid.any() else 0.0
    return [dearest] * int(with_budget) + [float(gain.max())] * capacities


def _named(
    prices: np.ndarray, with_budget: bool, finite: np.ndarray, options: int
) -> tuple[float, np.ndarray]:
    option_prices = np.zeros(options)
    option_prices[finite] = prices[int(with_budget) :]
    return (float(prices[0]) if with_budget else 0.0), option_prices


def _settle(
    profit: np.ndarray, cost: np.ndarray, counts: np.ndarray, limits: _Limits
) -> tuple[np.ndarray, float]:
    """Customers per group and option by a linear program, and the program's total.

    The handful of customers that the program splits get the best option that still fits.
    """
    rows, options = np.nonzero(np.isfinite(profit))
    number = np.arange(len(rows))
    finite = np.flatnonzero(np.isfinite(limits.capacity))
    capped = np.searchsorted(finite, options)
    counted = np.isin(options, finite)
    uses = csr_array(
        (np.ones(int(counted.sum())), (capped[counted], number[counted])),
        shape=(len(finite), len(rows)),
    )
    above, room = uses, limits.capacity[finite]
    if np.isfinite(limits.budget):
        above = vstack([uses, csr_array(cost[rows, options][None, :])])
        room = np.r_[room, limits.budget]
    one_option = csr_array((np.ones(len(rows)), (rows, number)), shape=(len(profit), len(rows)))
    solution = linprog(
        -profit[rows, options],
        A_ub=above,
        b_ub=room,
        A_eq=one_option,
        b_eq=counts,
        bounds=(0, None),
        method="highs-ds",
    )
    if solution.x is None:
        raise ValueError("allocate: the limits leave no option to some customers; raise them")
    held = np.zeros(profit.shape, dtype=np.int64)
    held[rows, options] = np.floor(solution.x + 1e-6).astype(np.int64)
    left = _left_over(held, cost, limits)
    budget, capacity = left.budget, left.capacity.copy()
    short = counts - held.sum(axis=1)
    for row in np.flatnonzero(short):
        for _ in range(int(short[row])):
            fits = np.isfinite(profit[row]) & (cost[row] <= budget) & (capacity >= 1)
            option = int(np.argmax(np.where(fits, profit[row], -np.inf))) if fits.any() else 0
            held[row, option] += 1
            capacity[option] -= 1
            budget -= float(cost[row, option])
    return held, float(-solution.fun)


def _checked(profit: ArrayLike, cost: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    gains, costs = np.asarray(profit, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    if gains.ndim != 2 or gains.shape != costs.shape:
        raise ValueError(
            "allocate: profit and cost must be tables (customers, options) of one shape, found "
            f"{gains.shape} and {costs.shape}"
        )
    if np.isnan(gains).any() or (gains == np.inf).any() or not np.isfinite(gains[:, 0]).all():
        raise ValueError(
            "allocate: profit must be a number, or -inf where an option is forbidden, and the "
            "control is never forbidden; found NaN or infinity"
        )
    if not (np.isfinite(costs).all() and (costs >= costs[:, :1]).all()):
        raise ValueError(
            "allocate: cost must be finite and no option may be cheaper than the control in "
            "column 0"
        )
    return gains, costs


def _limits(cost: np.ndarray, budget: float | None, capacity: ArrayLike | None) -> _Limits:
    options = cost.shape[1]
    most = np.full(options, np.inf) if capacity is None else np.asarray(capacity, dtype=np.float64)
    if most.shape != (options,) or (most < 0).any() or np.isfinite(most[0]):
        raise ValueError(
            f"allocate: capacity must hold {options} numbers of at least 0, inf for no limit, and "
            f"inf for the control in column 0; found {most.tolist()}"
        )
    money = np.inf if budget is None else float(budget)
    if not cost[:, 0].sum() <= money:
        raise ValueError(
            f"allocate: budget {money:g} is below {cost[:, 0].sum():g}, what the control alone "
            "costs; raise it"
        )
    return _Limits(money, np.floor(most))


def _fits(chosen: np.ndarray, cost: np.ndarray, limits: _Limits) -> bool:
    spent = float(cost[np.arange(len(cost)), chosen].sum())
    used = np.bincount(chosen, minlength=cost.shape[1])
    return spent <= limits.budget and bool((used <= limits.capacity).all())
