"""Multi-armed Qini curve: gain against money when offers are given in the best order.

The multi-armed Qini curve with costs of Sverdrup, Wu, Athey and Wager (2025, "Qini curves for
multi-armed treatment rules", JCGS 34(3)): predicted effects and costs of every offer decide who
gets what at each budget; scores from held-out customers (`offpolicy.offer_scores` minus the
control's column) say what that really earned. Per customer only the offers on the upper concave
hull of (cost, effect) can be bought, the control standing at (0, 0); all steps from one such offer
to the next, of all customers, are taken in falling order of effect per unit of money. At every
budget this is the solution of the linear programme that allots offers, one customer at the margin
getting hers in part.

Costs may be zero or negative: the curve begins with the cheapest choice of every customer, so its
first point may lie left of zero spend or above zero gain. Customers with equal effect per unit of
money are one straight piece, so the order of rows does not matter.

Three separate inputs, never mixed: `effects` and `costs` come from a model and decide, `scores`
come from outcomes and judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..concave_hull import efficient_steps


class Purchases(NamedTuple):
    """Purchases in the order of the curve: whose, money, score, and the breakpoint they end at."""

    customer: np.ndarray
    cost: np.ndarray
    score: np.ndarray
    breakpoint: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class QiniCurve:
    """Money spent and what it earns, both per customer (weighted mean).

    Attributes
    ----------
    spend
        Breakpoints, rising; the first is the cheapest plan (0 when every cost is positive).
    gain
        Mean score at each breakpoint, relative to sending nobody anything.
    ratio
        Predicted effect per unit of money of the piece that ends at each breakpoint but the first.
    steps
        The purchases behind the curve, for the bootstrap.
    """

    spend: np.ndarray
    gain: np.ndarray
    ratio: np.ndarray
    steps: Purchases

    @property
    def n(self) -> int:
        """Number of customers."""
        return len(self.steps.weights)


def multi_armed_qini(effects: Any, costs: Any, scores: Any, *, weights: Any = None) -> QiniCurve:
    """The curve of an allocation by predicted effects and costs, graded by scores.

    Parameters
    ----------
    effects
        Predicted effect of each of K offers against the control, shape (n, K).
    costs
        Expected cost of each offer beyond that of the control, shape (n, K) or (K,).
    scores
        Scores of the effects from held-out outcomes, shape (n, K); `effects` themselves give
        the curve that the model promises.
    weights
        Weight of each customer, n non-negative numbers; None: all equal.

    Returns
    -------
    QiniCurve

    Raises
    ------
    ValueError
        If shapes differ, a number is not finite, or weights are negative or all zero.
    """
    reward, price, score, weight = _checked(effects, costs, scores, weights)
    reward, price, score = (np.insert(table, 0, 0.0, axis=1) for table in (reward, price, score))
    hulls = efficient_steps(reward, price)
    free = np.flatnonzero(hulls.start)  # customers whose cheapest choice is an offer
    order = np.argsort(-hulls.slopes)
    ratio = hulls.slopes[order]
    customer = np.append(free, hulls.rows[order])
    before = np.append(np.zeros_like(free), hulls.before[order])
    after = np.append(hulls.start[free], hulls.after[order])
    cost = np.append(price[free, hulls.start[free]], hulls.costs[order])
    gained = score[customer, after] - score[customer, before]
    opens = np.append(True, ratio[1:] != ratio[:-1])[: len(order)]
    breakpoint = np.append(np.zeros_like(free), np.cumsum(opens))
    ends = np.append(np.flatnonzero(opens), len(order))
    share = weight[customer] / weight.sum()
    return QiniCurve(
        spend=_running(share * cost, len(free) + ends),
        gain=_running(share * gained, len(free) + ends),
        ratio=ratio[ends[1:] - 1],
        steps=Purchases(customer, cost, gained, breakpoint, weight),
    )


def average_qini(effects: Any, costs: Any, scores: Any) -> QiniCurve:
    """The curve without personalization: offers given at random to ever more customers.

    Every customer counts as the average one, so the hull of the average effects and costs decides;
    between two offers the mixture of them. Arguments as in `multi_armed_qini`.
    """
    reward, price, score, _ = _checked(effects, costs, scores, None)
    flat = np.broadcast_to(reward.mean(axis=0), reward.shape)
    return multi_armed_qini(flat, price.mean(axis=0), score)


def gain_at(curve: QiniCurve, budgets: Any) -> np.ndarray:
    """Gain per customer at budgets per customer; money beyond the end of the curve stays unspent.

    Raises
    ------
    ValueError
        If a budget lies below the spend of the cheapest plan.
    """
    amounts = np.asarray(budgets, dtype=np.float64)
    if (amounts < curve.spend[0] - 1e-12).any():
        raise ValueError(
            f"budgets: must be at least {curve.spend[0]:.6g} per customer, the cheapest plan, "
            f"found {amounts.min():.6g}; ask for more money"
        )
    return np.interp(amounts, curve.spend, curve.gain)


def _checked(
    effects: Any, costs: Any, scores: Any, weights: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    reward = np.asarray(effects, dtype=np.float64)
    if reward.ndim != 2 or 0 in reward.shape:
        raise ValueError(f"effects: must be a matrix (n, K) with rows, found {reward.shape}")
    price = np.asarray(costs, dtype=np.float64)
    score = np.asarray(scores, dtype=np.float64)
    if price.shape == reward.shape[1:]:
        price = np.broadcast_to(price, reward.shape)
    weight = np.ones(len(reward)) if weights is None else np.asarray(weights, dtype=np.float64)
    wanted = {"costs": (price, reward.shape), "scores": (score, reward.shape)}
    wanted |= {"effects": (reward, reward.shape), "weights": (weight, reward.shape[:1])}
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise ValueError(f"{name}: must have shape {shape}, found {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: must be finite, found NaN or infinity; drop those rows")
    if (weight < 0).any() or not weight.any():
        raise ValueError("weights: must be non-negative and not all zero")
    return reward, price, score, weight


def _running(amounts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Cumulative sum before each of the positions `ends`."""
    return np.append(0.0, np.cumsum(amounts))[ends]
