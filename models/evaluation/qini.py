"""What each further unit of money buys when offers are handed out in the best order.

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

CHUNK_ROWS = 16_384  # hulls are found in pieces that stay in the processor's cache


class Steps(NamedTuple):
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
    steps: Steps

    @property
    def n(self) -> int:
        """Customers."""
        return len(self.steps.weights)


class _Moves(NamedTuple):
    """From one offer to the next on a customer's hull; offer K is the control."""

    customer: np.ndarray
    before: np.ndarray
    after: np.ndarray
    cost: np.ndarray
    ratio: np.ndarray


def multi_armed_qini(effects: Any, costs: Any, scores: Any, *, weights: Any = None) -> QiniCurve:
    """The curve of an allocation by predicted effects and costs, judged by scores.

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
    starts, moves = _hulls(reward, price)
    order = np.argsort(-moves.ratio)
    moves = _Moves(*(part[order] for part in moves))
    customer, before, after, cost, ratio = (
        np.concatenate(pair) for pair in zip(starts, moves, strict=True)
    )
    padded = np.column_stack([score, np.zeros(len(score))])
    gained = padded[customer, after] - padded[customer, before]
    opens = np.append(True, moves.ratio[1:] != moves.ratio[:-1])[: len(order)]
    place = np.concatenate([np.zeros(len(starts.cost), dtype=np.int64), np.cumsum(opens)])
    ends = len(starts.cost) + np.append(np.flatnonzero(opens), len(order))
    share = weight[customer] / weight.sum()
    return QiniCurve(
        spend=_running(share * cost, ends),
        gain=_running(share * gained, ends),
        ratio=ratio[ends[1:] - 1],
        steps=Steps(customer, cost, gained, place, weight),
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
    asked = np.asarray(budgets, dtype=np.float64)
    if (asked < curve.spend[0] - 1e-12).any():
        raise ValueError(
            f"budgets: must be at least {curve.spend[0]:.6g} per customer, the cheapest plan, "
            f"found {asked.min():.6g}; ask for more money"
        )
    return np.interp(asked, curve.spend, curve.gain)


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


def _hulls(effects: np.ndarray, costs: np.ndarray) -> tuple[_Moves, _Moves]:
    """Moves to the cheapest choice where that is not the control, and moves along the hulls."""
    starts: list[_Moves] = []
    moves: list[_Moves] = []
    for at in range(0, len(effects), CHUNK_ROWS):
        first, following = _hull_moves(effects[at : at + CHUNK_ROWS], costs[at : at + CHUNK_ROWS])
        starts.append(first._replace(customer=first.customer + at))
        moves.extend(move._replace(customer=move.customer + at) for move in following)
    return _joined(starts), _joined(moves)


def _joined(parts: list[_Moves]) -> _Moves:
    return _Moves(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _hull_moves(effects: np.ndarray, costs: np.ndarray) -> tuple[_Moves, list[_Moves]]:
    """The hull of every row by gift wrapping: at most K rounds over ever fewer rows."""
    rows, count = effects.shape
    control = np.zeros((1, rows))
    reward, price = np.vstack([effects.T, control]), np.vstack([costs.T, control])
    place = np.arange(rows)
    current, reward_here, price_here = _cheapest(reward, price)
    begun = np.flatnonzero(current != count)
    starts = _Moves(
        customer=begun,
        before=np.full(len(begun), count),
        after=current[begun],
        cost=price_here[begun],
        ratio=np.full(len(begun), np.inf),
    )
    moves = []
    while len(place):
        steepest, following = _next_on_hull(reward, price, reward_here, price_here)
        goes_on = np.flatnonzero(steepest > 0)
        place, current, following = place[goes_on], current[goes_on], following[goes_on]
        reward, price = reward[:, goes_on], price[:, goes_on]
        columns = np.arange(len(place))
        paid = price[following, columns] - price_here[goes_on]
        moves.append(_Moves(place, current, following, paid, steepest[goes_on]))
        current = following
        reward_here, price_here = reward[current, columns], price[current, columns]
    return starts, moves


def _cheapest(reward: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cheapest choice of each row (of equal ones the best), its effect and its cost."""
    control, rows = len(reward) - 1, reward.shape[1]
    current, reward_here, price_here = np.full(rows, control), np.zeros(rows), np.zeros(rows)
    for offer in range(control):
        better = (price[offer] == price_here) & (reward[offer] > reward_here)
        wins = np.flatnonzero((price[offer] < price_here) | better)
        current[wins] = offer
        reward_here[wins], price_here[wins] = reward[offer, wins], price[offer, wins]
    return current, reward_here, price_here


def _next_on_hull(
    reward: np.ndarray, price: np.ndarray, reward_here: np.ndarray, price_here: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Steepest rise from the current offer to a dearer one (0 if none), and where it leads."""
    steepest = np.zeros(len(reward_here))
    following = np.zeros(len(reward_here), dtype=np.int64)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for offer in range(len(reward)):
            extra = price[offer] - price_here
            slope = np.where(extra > 0, (reward[offer] - reward_here) / extra, 0.0)
            wins = slope > steepest
            np.copyto(steepest, slope, where=wins)
            np.copyto(following, offer, where=wins)
    return steepest, following
