"""Confidence intervals of the effect among customers with similar predicted effects.

Held-out rows are grouped by their out-of-fold effect, and each group gets the mean of its doubly
robust scores with a standard error (sorted group averages, Chernozhukov et al. 2018). Groups are
smaller at both ends, for those are the customers one targets or spares. The interval is about the
average of such customers: no experiment shows the effect on one of them. Money is skewed, and an
interval of so many standard errors to both sides misses then; quantiles are transformed for the
skewness of the mean (Hall 1992), which is as exact as a bootstrap-t. Coverage on worlds with a
known truth is measured by `benchmarks/effects.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

_LEAST_GROUPS = 5  # that share their fate, in a band
_ENDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


def effect_bands(
    held_out: pd.DataFrame,
    contrast: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """Groups by out-of-fold effect, one row per offer and group.

    Parameters
    ----------
    held_out : (rows, offers) out-of-fold effects.
    contrast : (rows, offers) AIPW scores of the effects.
    weight : (rows,) how many customers each row stands for; None: one.
    groups : (rows,) codes of rows that share their fate; None: every row by itself.

    Returns
    -------
    DataFrame with columns offer, rows, units (rows, or groups that share their fate), predicted,
    observed, se, skewness (of the mean); sorted by predicted.
    """
    count = np.ones(len(contrast)) if weight is None else weight
    records = []
    for position, offer in enumerate(held_out.columns):
        effect = held_out[offer].to_numpy()
        order = np.argsort(effect, kind="stable")
        cuts = [int(share * len(order)) for share in _ENDS[1:-1]]
        if groups is not None:
            cuts = _between_groups(groups[order], cuts)
        bands = np.split(order, cuts) if np.ptp(effect) > 1e-12 else [order]
        for rows in bands:
            score, own = contrast[rows, position], count[rows] / count[rows].mean()
            mean = float(np.average(score, weights=own))
            pull = own * (score - mean)
            if groups is not None:
                pull = np.bincount(np.unique(groups[rows], return_inverse=True)[1], weights=pull)
            power = float((pull**2).sum())
            scale = float(np.sqrt(power)) or 1.0
            records.append(
                {
                    "offer": offer,
                    "rows": len(rows),
                    "units": len(pull),
                    "predicted": float(np.average(effect[rows], weights=own)),
                    "observed": mean,
                    "se": float(np.sqrt(power * len(pull) / (len(pull) - 1))) / len(rows),
                    "skewness": float(((pull / scale) ** 3).sum()),
                }
            )
    return pd.DataFrame(records)


def _between_groups(groups: np.ndarray, cuts: Sequence[int]) -> list[int]:
    """Those of the cuts through groups (rows,) that leave enough of these on either side."""
    kept = [0]
    for cut in cuts:
        sides = groups[kept[-1] : cut], groups[cut:]
        if min(len(np.unique(side)) for side in sides) >= _LEAST_GROUPS:
            kept.append(cut)
    return kept[1:]


def interval(
    bands: pd.DataFrame, effects: pd.DataFrame, *, coverage: float
) -> Mapping[str, pd.DataFrame]:
    """Lower and upper ends, (rows, offers) each, for predicted effects.

    Observed averages and their errors are interpolated between the groups; beyond the outermost
    ones the average moves with the prediction.

    Raises
    ------
    ValueError
        If coverage is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage: must lie between 0 and 1, found {coverage:g}")
    ends: dict[str, dict[str, np.ndarray]] = {"lo": {}, "hi": {}}
    for offer in effects.columns:
        offer_bands = bands[bands["offer"] == offer]
        at = offer_bands["predicted"].to_numpy()
        skewness, error = offer_bands["skewness"].to_numpy(), offer_bands["se"].to_numpy()
        reach = stdtrit(offer_bands["units"].to_numpy() - 1.0, 0.5 + coverage / 2)
        effect = effects[offer].to_numpy()
        beyond = effect - np.clip(effect, at.min(), at.max()) if len(at) > 1 else 0.0 * effect
        centre = np.interp(effect, at, offer_bands["observed"]) + beyond
        ends["lo"][offer] = centre - np.interp(effect, at, error * _quantile(reach, skewness))
        ends["hi"][offer] = centre - np.interp(effect, at, error * _quantile(-reach, skewness))
    return {name: pd.DataFrame(columns, index=effects.index) for name, columns in ends.items()}


def _quantile(z: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Quantile of a studentized mean whose sum has that skewness, from one without."""
    a = np.where(np.abs(skewness) < 1e-6, 1e-6, np.clip(skewness, -1.0, 1.0))
    return np.asarray((np.cbrt(1.0 + a * (z - a / 6.0)) - 1.0) * 3.0 / a)
