"""The largest return on all the money that is spent, by a choice for each customer.

The ratio of two totals is not the mean of ratios: an offer with the best ratio for each customer
may add little gain. At the largest ratio R every customer is given the offer of the largest
gain - R x cost (Dinkelbach, Management Science 13(7), 1967), so that one number, the rate, tells
each customer's offer without regard to the others.
"""

from __future__ import annotations

import numpy as np


def best_rate(gain: np.ndarray, cost: np.ndarray) -> float:
    """The largest total gain per total cost when everybody with a gain is given an offer.

    Parameters
    ----------
    gain : (rows, offers) money over that of no offer; -inf where an offer is not allowed.
    cost : (rows, offers) money to be spent, at least 0.

    Returns
    -------
    float
        0 where no offer gains, or none costs anything.
    """
    some = (gain > 0).any(axis=1)
    rows = np.arange(int(some.sum()))
    gain, cost = gain[some], cost[some]
    rate = 0.0
    while len(rows):
        chosen = best_at(rate, gain, cost)
        gained, spent = gain[rows, chosen].sum(), cost[rows, chosen].sum()
        if spent <= 0 or gained <= rate * spent * (1 + 1e-12):
            break
        rate = float(gained / spent)
    return rate


def best_at(rate: float, gain: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """(rows,) the offer with a gain that a rate asks for; 0 where none has one."""
    worth = np.where(gain > 0, gain - rate * cost, -np.inf)
    return np.asarray(np.argmax(worth, axis=1))
