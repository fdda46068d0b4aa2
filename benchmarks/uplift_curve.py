"""How well a ranking puts first those whom one offer moves: uplift curve, AUUC and Qini.

Customers who got the offer or nothing are sorted by predicted uplift, best first. With n rows,
T_k and C_k the numbers of offered and control customers among the first k, and Y their outcomes
summed:

- lift at k: Y_T / T_k - Y_C / C_k
- uplift curve (cumulative gain) at k: lift at k times k; AUUC is its mean over k = 0..n
- Qini curve at k: Y_T - Y_C * T_k / C_k; the Qini is its mean over k = 0..n less that of the
  straight line from 0 to its end, which is what a random order gives

(Gutierrez & Gérardy 2016; Radcliffe 2007.) These are the definitions of causalml, `get_cumgain`,
`auuc_score`, `get_qini` and `qini_score`; where an early point has only offered or only control
customers, the curve is a straight line from zero, as there. The normalized figures divide by the
size of the curve's end: they explode where the average effect is near zero, so the plain ones
stand beside them. Other libraries mean other things by the same names.

Two things are ours. Customers of equal score form a straight piece of expected counts, so that
the order of rows does not matter. Weights, the inverse propensities where these differ among
customers, replace counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class UpliftCurve:
    """Curves of one ranking for one offer.

    Attributes
    ----------
    targeted
        Share of customers (of weight) targeted, from 0 to 1, n + 1 points.
    lift
        Difference of mean outcomes among those targeted; 0 at the first point.
    gain
        Lift times the number targeted; its end is the average effect times n.
    qini
        Outcomes gained among the offered of those targeted.
    auuc, qini_score
        Mean height of `gain`; mean height of `qini` above the straight line. In outcomes per n.
    auuc_normalized, qini_score_normalized
        The same with the curve divided by the size of its end.
    """

    targeted: np.ndarray
    lift: np.ndarray
    gain: np.ndarray
    qini: np.ndarray
    auuc: float
    qini_score: float
    auuc_normalized: float
    qini_score_normalized: float


def uplift_curve(uplift: Any, offered: Any, outcome: Any, *, weights: Any = None) -> UpliftCurve:
    """Curves and areas of a ranking by predicted uplift.

    Parameters
    ----------
    uplift
        Predicted uplift of the offer, n numbers; only the order counts.
    offered
        True where the customer got the offer, False where nothing; n values.
    outcome
        What came of it, n numbers.
    weights
        n positive numbers, such as inverse propensities; None: all equal.

    Raises
    ------
    ValueError
        If lengths differ, a number is not finite, a weight is not positive, or nobody (or
        everybody) was offered.
    """
    ranked = _ranked(uplift, offered, outcome, weights)
    share, lift, gain, qini = _curves(*ranked)
    areas = _areas(gain, qini, ranked[2])
    with np.errstate(divide="ignore", invalid="ignore"):
        normalized = areas / np.abs([gain[-1], qini[-1]])
    return UpliftCurve(share, lift, gain, qini, *areas.tolist(), *normalized.tolist())


Ranked = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _ranked(uplift: Any, offered: Any, outcome: Any, weights: Any) -> Ranked:
    """Offered (0 or 1), outcome, weight (mean 1) and score, the highest score first."""
    y = np.asarray(outcome, dtype=np.float64)
    columns = {
        "offered": np.asarray(offered).astype(np.float64),
        "outcome": y,
        "weights": np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64),
        "uplift": np.asarray(uplift, dtype=np.float64),
    }
    for name, column in columns.items():
        if column.shape != y.shape:
            raise ValueError(f"{name}: must have {len(y)} rows, found {len(column)}")
        if not np.isfinite(column).all():
            raise ValueError(f"{name}: must be finite, found NaN or infinity; drop those rows")
    if (columns["weights"] <= 0).any():
        raise ValueError("weights: must be positive; drop rows that should not count")
    if set(np.unique(columns["offered"])) != {0.0, 1.0}:
        raise ValueError(
            f"offered: must hold both True and False, found {np.unique(columns['offered'])[:5]}; "
            "keep the rows of one offer and of the control"
        )
    columns["weights"] = columns["weights"] / columns["weights"].mean()
    order = np.argsort(-columns["uplift"], kind="stable")
    sent, y, weight, score = (column[order] for column in columns.values())
    return sent, y, weight, score


def _curves(
    sent: np.ndarray, y: np.ndarray, weight: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Share targeted, lift, gain and Qini at 0..n customers."""
    parts = np.stack([weight, weight * sent, weight * sent * y, weight * (1 - sent) * y], axis=1)
    sums = np.vstack([np.zeros(4), np.cumsum(parts, axis=0)])
    ends = np.concatenate([[0], 1 + np.flatnonzero(np.diff(score)), [len(score)]])
    if len(ends) <= len(score):
        at = sums[:, 0]
        sums = np.stack([np.interp(at, at[ends], part[ends]) for part in sums.T], axis=1)
    count, offered, offered_y, control_y = sums.T
    control = np.maximum(count - offered, 0.0)
    control[control < 1e-9] = 0.0  # a sum of weights that should cancel
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = _from_zero(offered_y / offered - control_y / control)
        qini = _from_zero(offered_y - control_y * offered / control)
    return count / count[-1], lift, lift * count, qini


def _from_zero(curve: np.ndarray) -> np.ndarray:
    """Curve with its undefined beginning replaced by a straight line from zero."""
    curve[0] = 0.0
    places = np.arange(len(curve))
    known = np.isfinite(curve)
    return np.interp(places, places[known], curve[known])


def _areas(gain: np.ndarray, qini: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """AUUC and Qini score: mean heights over the n + 1 points."""
    straight = qini[-1] * np.cumsum(weight) / weight.sum()
    return np.array([weight @ gain[1:], weight @ (qini[1:] - straight)]) / (len(weight) + 1)
