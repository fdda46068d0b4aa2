"""Calibration of scores to probabilities, and tables that show how well it worked.

Every map here is monotone and small, and ends as an expression of `models.formula`, so that what
is learned is what is saved and what predicts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from ..intervals import normal_reach, wilson_interval
from .formula import Expression


def platt_map(
    log_odds: ArrayLike,
    outcome: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    prior: float = 0.0,
) -> tuple[float, float]:
    """Slope and intercept of ``sigmoid(slope * log_odds + intercept)``, slope at least 0.

    Parameters
    ----------
    log_odds, outcome
        (rows,) scores, and whether it happened (0 or 1).
    weight
        (rows,) how much each row counts; None: all the same.
    prior
        Precision of a normal prior around the identity, slope 1 and intercept 0. Without it
        Platt's smoothed targets keep the map finite where scores separate the classes.

    Raises
    ------
    ValueError
        On arrays of different length, no rows, values that are not finite, or outcomes not 0/1.

    Notes
    -----
    Platt 1999. The sums do not depend on the order of the rows.
    """
    scores, outcomes, weights = _checked(log_odds, outcome, weight)
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise ValueError("calibrate: outcome must be 0 or 1 for platt_map")
    order = np.lexsort((weights, outcomes, scores))
    scores, outcomes, weights = scores[order], outcomes[order], weights[order]
    positive = float(weights[outcomes == 1].sum())
    negative = float(weights[outcomes == 0].sum())
    smoothed = np.where(outcomes == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    target = outcomes if prior else smoothed

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        raw = line[0] * scores + line[1]
        away = line - np.array([1.0, 0.0])
        likelihood = weights * (np.logaddexp(0.0, raw) - target * raw)
        pull = weights * (expit(raw) - target)
        gradient = np.array([(pull * scores).sum(), pull.sum()]) + prior * away
        return float(likelihood.sum() + prior / 2 * (away**2).sum()), gradient

    slope, intercept = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", tol=1e-14).x
    if slope < 0:
        return 0.0, float(np.log((positive + 1) / (negative + 1)))
    return float(slope), float(intercept)


def platt_expression(slope: float, intercept: float, part: Expression) -> Expression:
    """The Platt map of an expression in log odds."""
    return ["sigmoid", ["sum", [slope, part], [intercept, ["const", 1.0]]]]


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
    bin_codes = np.minimum(((ranks - 0.5) * bins / len(ranks)).astype(int), bins - 1)
    groups = pd.DataFrame({"bin": bin_codes, "predicted": before, "observed": after}).groupby("bin")
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
