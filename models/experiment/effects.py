"""Average effects of offers in a randomized experiment, with intervals and several at a time.

Each arm's mean outcome is the mean of one score per row, whether that row was in the arm or not:
a prediction for everybody, plus the weighted error of those who were in it. Without covariates the
prediction is the arm's mean and the effect a difference of means; with covariates it is a linear
regression within each arm (Lin 2013, "Agnostic notes on regression adjustments"), which cannot
hurt in large samples; with weights 1 / propensity it is the doubly robust estimate. Because
everything is a mean of scores, effects, differences between offers and ratios of them all get
their standard errors from the spread of scores, by cluster where rows share their fate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..intervals import holm, mean_estimate, two_sided


def arm_scores(
    outcomes: np.ndarray,
    arms: np.ndarray,
    names: Sequence[str],
    *,
    design: np.ndarray | None = None,
    propensity: np.ndarray | None = None,
) -> np.ndarray:
    """Scores whose means estimate every arm's mean of every outcome.

    Parameters
    ----------
    outcomes
        Shape (n, m).
    arms
        Arm of each row.
    names
        The K arms that are wanted.
    design
        Covariates known before the offer, shape (n, p); None: no adjustment.
    propensity
        Probability of the arm each row was in, where these differ among rows of an arm; None:
        everybody had the same chances.

    Returns
    -------
    ndarray, shape (K, n, m).

    Raises
    ------
    ValueError
        If an arm has no more rows than the regression has coefficients.
    """
    rows = len(arms)
    facts = np.ones((rows, 1))
    if design is not None:
        facts = np.column_stack([facts, design])
    width = facts.shape[1]
    scores = np.empty((len(names), *outcomes.shape))
    for at, name in enumerate(names):
        inside = arms == name
        count = int(inside.sum())
        if count <= width:
            raise ValueError(
                f"effects: arm '{name}' has {count} rows for {width} coefficients; use fewer "
                "covariates or more rows"
            )
        weight = np.ones(count) if propensity is None else 1.0 / propensity[inside]
        weight *= rows / weight.sum()
        near, seen = facts[inside], outcomes[inside]
        weighted = near * weight[:, None]
        fit = np.linalg.lstsq(weighted.T @ near, weighted.T @ seen, rcond=1e-10)[0]
        scores[at] = facts @ fit
        freedom = np.sqrt(count / (count - width))
        scores[at][inside] += (freedom * weight)[:, None] * (seen - near @ fit)
    return scores


def estimate_row(scores: np.ndarray, clusters: Any) -> dict[str, float]:
    """Columns estimate, lo, hi, se, p_value of a mean of scores; NaN where it is not defined."""
    if np.isnan(scores).any():
        return dict.fromkeys(["estimate", "lo", "hi", "se", "p_value"], np.nan)
    mean = mean_estimate(scores, clusters=clusters)
    return {
        "estimate": mean.value,
        "lo": mean.lo,
        "hi": mean.hi,
        "se": mean.se,
        "p_value": two_sided(mean),
    }


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Table with a column p_holm: p_value adjusted among the rows of one outcome."""
    adjusted = table.groupby("outcome", sort=False)["p_value"].transform(holm)
    return table.assign(p_holm=adjusted)
