"""Calibration: turning a score into what really happens at that score, and showing how well.

Every map here is monotone and small, and ends as an expression of `models.formula`, so that what
is learned is what is saved and what predicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.isotonic import isotonic_regression

from ..intervals import normal_reach, wilson_interval
from .formula import Expression

END_SLOPE = 1e-3  # share of the whole range by which the end pieces rise, so that ranks survive


@dataclass
class _Block:
    """Neighbouring scores that share one level."""

    rows: float
    score: float
    outcome: float

    def join(self, other: _Block) -> _Block:
        rows = self.rows + other.rows
        return _Block(
            rows,
            (self.rows * self.score + other.rows * other.score) / rows,
            (self.rows * self.outcome + other.rows * other.outcome) / rows,
        )


def isotonic_map(
    score: ArrayLike,
    outcome: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    knots: int = 24,
    least_rows: float = 30,
) -> tuple[list[float], list[float]]:
    """Monotone map from score to mean outcome, as the knots of a piecewise linear function.

    Pool-adjacent-violators, then neighbouring blocks are joined until each holds `least_rows` and
    no more than `knots` are left (the pair whose joining costs least squared error first). Each
    block is pulled towards the overall mean by one row, so a probability is never exactly 0 or 1.
    Between block centres the map is linear; beyond the outer centres it rises by a hair up to the
    outermost scores, so that ranks survive.

    Parameters
    ----------
    score, outcome, weight
        Arrays (rows,). `outcome` may be 0/1 or any number (a pseudo-effect, money).
    knots, least_rows
        Size limits; `least_rows` is relaxed to a fifth of the rows on small data.

    Returns
    -------
    xs, ys
        For the expression ``["interp", xs, ys, e]``: xs strictly rise, ys never fall. The same
        for any order of the rows.

    Raises
    ------
    ValueError
        On arrays of different length, no rows, or values that are not finite.

    Notes
    -----
    Ayer et al. 1955 (pool adjacent violators); Zadrozny & Elkan 2002 (for classifiers).
    """
    scores, outcomes, weights = _checked(score, outcome, weight)
    order = np.lexsort((weights, outcomes, scores))
    scores, outcomes, weights = scores[order], outcomes[order], weights[order]
    starts = np.flatnonzero(np.r_[True, np.diff(scores) > 0])
    rows = np.add.reduceat(weights, starts)
    levels = np.add.reduceat(weights * outcomes, starts) / rows
    fitted = isotonic_regression(levels, sample_weight=rows)
    firsts = np.flatnonzero(np.r_[True, np.diff(fitted) > 0])
    held = np.add.reduceat(rows, firsts)
    centres = np.add.reduceat(rows * scores[starts], firsts) / held
    means = np.add.reduceat(rows * levels, firsts) / held
    blocks = [_Block(*block) for block in zip(held, centres, means, strict=True)]
    blocks = _compact(blocks, knots=knots, least_rows=min(least_rows, len(scores) / 5))
    overall = float(np.average(outcomes, weights=weights))
    xs = [float(block.score) for block in blocks]
    ys = np.maximum.accumulate(
        [(block.rows * block.outcome + overall) / (block.rows + 1) for block in blocks]
    ).tolist()
    rise = END_SLOPE * (ys[-1] - ys[0])
    if rise > 0 and scores[0] < xs[0]:
        xs, ys = [float(scores[0]), *xs], [max(ys[0] - rise, min(outcomes.min(), ys[0])), *ys]
    if rise > 0 and scores[-1] > xs[-1]:
        xs, ys = [*xs, float(scores[-1])], [*ys, min(ys[-1] + rise, max(outcomes.max(), ys[-1]))]
    return xs, [float(level) for level in ys]


def _compact(blocks: list[_Block], *, knots: int, least_rows: float) -> list[_Block]:
    def cost(left: _Block, right: _Block) -> float:
        shared = left.rows * right.rows / (left.rows + right.rows)
        return float(shared * (left.outcome - right.outcome) ** 2)

    blocks = list(blocks)
    while len(blocks) > 1:
        smallest = min(range(len(blocks)), key=lambda place: blocks[place].rows)
        costs = [cost(left, right) for left, right in pairwise(blocks)]
        if blocks[smallest].rows < least_rows:
            sides = [place for place in (smallest - 1, smallest) if 0 <= place < len(costs)]
            place = min(sides, key=lambda side: costs[side])
        elif len(blocks) > knots:
            place = int(np.argmin(costs))
        else:
            break
        blocks[place : place + 2] = [blocks[place].join(blocks[place + 1])]
    return blocks


def platt_map(
    log_odds: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None
) -> tuple[float, float]:
    """Slope and intercept of ``sigmoid(slope * log_odds + intercept)``, slope at least 0.

    Platt's smoothed targets keep the map finite where scores separate the classes.

    Raises
    ------
    ValueError
        On arrays of different length, no rows, values that are not finite, or outcomes not 0/1.

    Notes
    -----
    Platt 1999; Newton steps with halving, as in Lin, Lin & Weng 2007.
    """
    scores, outcomes, weights = _checked(log_odds, outcome, weight)
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise ValueError("calibrate: outcome must be 0 or 1 for platt_map; use linear_map")
    order = np.lexsort((weights, outcomes, scores))
    scores, outcomes, weights = scores[order], outcomes[order], weights[order]
    positive = float(weights[outcomes == 1].sum())
    negative = float(weights[outcomes == 0].sum())
    target = np.where(outcomes == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    centre, spread = float(np.average(scores, weights=weights)), float(scores.std()) or 1.0
    design = np.column_stack([(scores - centre) / spread, np.ones(len(scores))])

    def loss(parameters: np.ndarray) -> float:
        margin = design @ parameters
        return float(np.sum(weights * (np.logaddexp(0, margin) - target * margin)))

    found = np.array([0.0, np.log((positive + 1) / (negative + 1))])
    for _ in range(60):
        fitted = 1 / (1 + np.exp(-(design @ found)))
        # einsum, not @: BLAS rounds long sums by its number of threads
        gradient = np.einsum("ij,i->j", design, weights * (fitted - target))
        bend = weights * fitted * (1 - fitted)
        curvature = np.einsum("ij,i,ik->jk", design, bend, design)
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        size, now = 1.0, loss(found)
        while size > 1e-3 and loss(found - size * step) > now * (1 + 1e-12):
            size /= 2
        found = found - size * step
        if np.abs(step).max() < 1e-8:
            break
    if found[0] < 0:
        return 0.0, float(np.log((positive + 1) / (negative + 1)))
    return float(found[0] / spread), float(found[1] - found[0] * centre / spread)


def linear_map(
    score: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None
) -> tuple[float, float]:
    """Slope and intercept of the weighted least squares line of outcome on score, slope at least 0.

    A slope of 0 (no relation, or a reversed one) gives the mean outcome for everybody.

    Raises
    ------
    ValueError
        On arrays of different length, no rows, or values that are not finite.
    """
    scores, outcomes, weights = _checked(score, outcome, weight)
    order = np.lexsort((weights, outcomes, scores))
    scores, outcomes, weights = scores[order], outcomes[order], weights[order]
    centre = float(np.average(scores, weights=weights))
    mean = float(np.average(outcomes, weights=weights))
    spread = float(np.sum(weights * (scores - centre) ** 2))
    shared = float(np.sum(weights * (scores - centre) * (outcomes - mean)))
    slope = max(shared / spread, 0.0) if spread > 1e-18 else 0.0
    return slope, mean - slope * centre


def interp_expression(xs: list[float], ys: list[float], part: Expression) -> Expression:
    """The isotonic map of an expression."""
    return ["interp", xs, ys, part]


def linear_expression(slope: float, intercept: float, part: Expression) -> Expression:
    """The straight line of an expression."""
    return ["sum", [slope, part], [intercept, ["const", 1.0]]]


def platt_expression(slope: float, intercept: float, part: Expression) -> Expression:
    """The Platt map of an expression in log odds."""
    return ["sigmoid", linear_expression(slope, intercept, part)]


def reliability_table(
    probability: ArrayLike, outcome: ArrayLike, *, bins: int = 10
) -> pd.DataFrame:
    """Predicted against observed share by bins of equal size.

    Returns
    -------
    DataFrame
        One row per bin in rising order: bin, rows, predicted, observed, lo, hi (Wilson's 95%
        interval of the observed share). Equal probabilities are never split over two bins.

    Raises
    ------
    ValueError
        On arrays of different length, no rows, or values that are not finite.
    """
    table = _by_bin(probability, outcome, bins)
    table["lo"], table["hi"] = wilson_interval(table["observed"], table["rows"])
    return table.drop(columns="spread")


def amounts_table(predicted: ArrayLike, amount: ArrayLike, *, bins: int = 10) -> pd.DataFrame:
    """Predicted against observed mean amount by bins of equal size.

    Returns
    -------
    DataFrame
        As `reliability_table`; lo and hi are the 95% interval of the observed mean (normal).

    Raises
    ------
    ValueError
        As `reliability_table`.
    """
    table = _by_bin(predicted, amount, bins)
    reach = normal_reach(0.95) * table["spread"].fillna(0.0) / np.sqrt(table["rows"])
    table["lo"], table["hi"] = table["observed"] - reach, table["observed"] + reach
    return table.drop(columns="spread")


def _by_bin(predicted: ArrayLike, observed: ArrayLike, bins: int) -> pd.DataFrame:
    """bin, rows, predicted, observed, spread; equal predictions fall into one bin."""
    before, after, _ = _checked(predicted, observed, None)
    ranks = pd.Series(before).rank(method="average").to_numpy()
    place = np.minimum(((ranks - 0.5) * bins / len(ranks)).astype(int), bins - 1)
    groups = pd.DataFrame({"bin": place, "predicted": before, "observed": after}).groupby("bin")
    table = groups.agg(
        rows=("observed", "size"),
        predicted=("predicted", "mean"),
        observed=("observed", "mean"),
        spread=("observed", "std"),
    ).reset_index()
    table["bin"] = np.arange(len(table))
    return table


def _checked(
    score: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores = np.asarray(score, dtype=np.float64)
    outcomes = np.asarray(outcome, dtype=np.float64)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not (scores.ndim == 1 and scores.shape == outcomes.shape == weights.shape):
        raise ValueError(
            "calibrate: score, outcome and weight must be flat and of one length, found shapes "
            f"{scores.shape}, {outcomes.shape}, {weights.shape}"
        )
    kept = weights > 0
    if not kept.any():
        raise ValueError("calibrate: no rows with a positive weight; give a larger sample")
    scores, outcomes, weights = scores[kept], outcomes[kept], weights[kept]
    if not (np.isfinite(scores).all() and np.isfinite(outcomes).all()):
        raise ValueError(
            "calibrate: score and outcome must be finite, found NaN or infinity; drop those rows"
        )
    if not np.isfinite(weights).all():
        raise ValueError("calibrate: weights must be finite, found infinity")
    return scores, outcomes, weights * (len(weights) / weights.sum())
