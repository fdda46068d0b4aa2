"""Concave hulls of profit over cost: the options of a customer that can be worth their cost.

Of the options of a customer only those on the upper concave hull of (cost, profit) can be the best
at some price of money (Sinha & Zoltners 1979); from the cheapest one on, each step to the next
brings less per unit of money than the one before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHUNK_ROWS = 16_384  # hulls are found in pieces that stay in the processor's cache


class Steps(NamedTuple):
    """Steps along the hulls of many customers.

    `start` (rows,) is each customer's cheapest option, of equal ones the most profitable. The
    others hold one entry per step, those of one customer in falling order of `slopes`: the
    customer, the options before and after, profit per unit of money, and money.
    """

    start: np.ndarray
    rows: np.ndarray
    before: np.ndarray
    after: np.ndarray
    slopes: np.ndarray
    costs: np.ndarray


def efficient_steps(profit: np.ndarray, cost: np.ndarray) -> Steps:
    """Corners of each customer's concave hull of profit over cost, as steps.

    Parameters
    ----------
    profit, cost
        (rows, options); a profit of -inf forbids an option. Of options on one line the dearest is
        the next corner.
    """
    starts, parts = [], []
    for first in range(0, len(profit), CHUNK_ROWS):
        chunk = slice(first, first + CHUNK_ROWS)
        start, steps = _chunk_steps(profit[chunk].T.copy(), cost[chunk].T.copy())
        starts.append(start)
        parts += [(rows + first, *others) for rows, *others in steps]
    return Steps(np.concatenate(starts), *map(np.concatenate, zip(*parts, strict=True)))


def _chunk_steps(
    profit: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, ...]]]:
    """Gift wrapping of (options, rows): at most one round per option over ever fewer rows."""
    options, count = profit.shape
    cheapest = np.where(np.isfinite(profit), cost, np.inf).min(axis=0)
    start = np.where(cost <= cheapest, profit, -np.inf).argmax(axis=0)
    rows = np.arange(count)
    current, gain_here, cost_here = start, profit[start, rows], cost[start, rows]
    steps: list[tuple[np.ndarray, ...]] = []
    while len(rows):
        steepest, furthest = np.zeros(len(rows)), np.zeros(len(rows))
        following = np.zeros(len(rows), dtype=np.int64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for option in range(options):
                extra = cost[option] - cost_here
                slope = np.where(extra > 0, (profit[option] - gain_here) / extra, 0.0)
                wins = (slope > steepest) | ((slope == steepest) & (extra > furthest) & (slope > 0))
                np.copyto(steepest, slope, where=wins)
                np.copyto(furthest, extra, where=wins)
                np.copyto(following, option, where=wins)
        going = np.flatnonzero(steepest > 0)
        following = following[going]
        steps.append((rows[going], current[going], following, steepest[going], furthest[going]))
        rows, current = rows[going], following
        profit, cost = profit[:, going], cost[:, going]
        columns = np.arange(len(rows))
        gain_here, cost_here = profit[current, columns], cost[current, columns]
    return start, steps
