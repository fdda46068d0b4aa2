"""Effects of offers that were targeted, not drawn: adjusted, with bounds for what nobody saw.

No experiment: customers who were sent an offer differed from the others before. What the facts
explain of it is adjusted for (doubly robust, with estimated propensities). What they do not is
bounded: if an unseen cause changes the odds of being sent an offer by up to a factor, the effect
lies between two ends (the marginal sensitivity model of Tan 2006, "A distributional approach for
causal inference using propensity scores"; bounds as in Zhao, Small & Bhattacharya 2019,
"Sensitivity analysis for inverse probability weighting estimators").
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

from .covariates import covariate_design
from .effects import arm_scores, estimate_row

FACTORS = (1.5, 2.0, 3.0)  # of the odds
LOWEST_CHANCE = 0.02  # estimated propensities below are raised to it
LARGEST_FACTOR = 20.0


def estimated_chances(
    covariates: pd.DataFrame, offers: np.ndarray, *, seed: int, clusters: np.ndarray | None = None
) -> pd.DataFrame:
    """Probability of each offer by the facts known before, out of fold: (rows, offers).

    A multinomial logistic regression on `covariate_design`; at least `LOWEST_CHANCE`, rows add
    to 1 before that. Rows of one of the `clusters` (rows,) stay in one fold.
    """
    design = covariate_design(covariates).matrix
    kind = StratifiedKFold if clusters is None else StratifiedGroupKFold
    folds = kind(5, shuffle=True, random_state=seed)
    model = LogisticRegression(max_iter=500)
    chances = cross_val_predict(
        model, design, offers, cv=folds, groups=clusters, method="predict_proba"
    )
    return pd.DataFrame(np.maximum(chances, LOWEST_CHANCE), columns=sorted(set(offers)))


def adjusted_effects(
    covariates: pd.DataFrame,
    offers: np.ndarray,
    outcome: np.ndarray,
    *,
    control: str,
    seed: int,
    clusters: np.ndarray | None = None,
) -> pd.DataFrame:
    """Each offer against the control: raw, adjusted, and with unseen causes.

    Parameters
    ----------
    covariates
        (n, ...) facts known before the offer.
    offers, outcome
        (n,) name of the offer sent, and what came of it.
    control
        Name of no offer.
    seed
        Of the folds.
    clusters
        (n,) labels of rows that share their fate; None: every row by itself.

    Returns
    -------
    DataFrame
        offer, rows, unadjusted (difference of means), estimate, lo, hi (adjusted), hardly_possible
        (share of all rows whose chance of the offer or of the control was below `LOWEST_CHANCE`),
        lo_<factor> and hi_<factor> (bounds, should an unseen cause change the odds of being sent
        the offer by up to that one of `FACTORS`), and explained_away_by: the smallest factor with
        which the bounds reach zero, infinite beyond `LARGEST_FACTOR`.

    Raises
    ------
    ValueError
        If the control or another offer has no rows.
    """
    names = sorted(set(offers))
    if control not in names or len(names) < 2:
        raise ValueError(
            f"observational: the control '{control}' and another offer are needed, found {names}"
        )
    chances = estimated_chances(covariates, offers, seed=seed, clusters=clusters)
    own = chances.to_numpy()[np.arange(len(offers)), pd.Index(names).get_indexer(pd.Index(offers))]
    design = covariate_design(covariates).matrix
    scores = arm_scores(outcome[:, None], offers, names, design=design, propensity=own)[:, :, 0]
    without = scores[names.index(control)]
    table = []
    for name in names:
        if name == control:
            continue
        low = (chances[[name, control]] <= LOWEST_CHANCE).any(axis=1).mean()
        arms = [(outcome[offers == arm], own[offers == arm]) for arm in (name, control)]
        row = {
            "offer": name,
            "rows": int((offers == name).sum()),
            "unadjusted": outcome[offers == name].mean() - outcome[offers == control].mean(),
            **estimate_row(scores[names.index(name)] - without, clusters),
            "hardly_possible": float(low),
        }
        for factor in FACTORS:
            row[f"lo_{factor:g}"], row[f"hi_{factor:g}"] = effect_bounds(*arms, factor=factor)
        row["explained_away_by"] = explained_away_by(*arms)
        table.append(row)
    return pd.DataFrame(table).drop(columns=["se", "p_value"])


def effect_bounds(
    offered: tuple[np.ndarray, np.ndarray],
    control: tuple[np.ndarray, np.ndarray],
    *,
    factor: float,
) -> tuple[float, float]:
    """Lowest and highest difference of weighted means that unseen causes allow.

    Parameters
    ----------
    offered, control
        Outcome and estimated propensity (rows,) of those who were sent the offer, and of those
        who were sent nothing.
    factor
        At least 1; at 1 both ends are the estimate by inverse probability weighting.
    """
    highest, lowest = (
        _highest_mean(*offered, factor),
        -_highest_mean(-offered[0], offered[1], factor),
    )
    high, low = _highest_mean(*control, factor), -_highest_mean(-control[0], control[1], factor)
    return lowest - high, highest - low


def explained_away_by(
    offered: tuple[np.ndarray, np.ndarray], control: tuple[np.ndarray, np.ndarray]
) -> float:
    """The smallest factor with which the bounds hold zero; infinite beyond `LARGEST_FACTOR`."""

    def holds_zero(factor: float) -> bool:
        low, high = effect_bounds(offered, control, factor=factor)
        return low <= 0 <= high

    if not holds_zero(LARGEST_FACTOR):
        return float("inf")
    small, large = 1.0, LARGEST_FACTOR
    for _ in range(30):
        middle = (small + large) / 2
        small, large = (small, middle) if holds_zero(middle) else (middle, large)
    return large


def _highest_mean(outcome: np.ndarray, chance: np.ndarray, factor: float) -> float:
    """The highest mean weighted by 1 + (1 / chance - 1) x z, z between 1 / factor and factor.

    At the optimum rows with the highest outcomes have the largest weights, so that only the place
    of the step has to be found.
    """
    order = np.argsort(-outcome, kind="stable")
    outcome, odds = outcome[order], 1.0 / chance[order] - 1.0
    heavy, light = 1.0 + odds * factor, 1.0 + odds / factor
    above = np.concatenate([[0.0], np.cumsum(heavy * outcome)])
    below = (light * outcome).sum() - np.concatenate([[0.0], np.cumsum(light * outcome)])
    weight = np.concatenate([[0.0], np.cumsum(heavy)]) + (
        light.sum() - np.concatenate([[0.0], np.cumsum(light)])
    )
    return float(((above + below) / weight).max())
