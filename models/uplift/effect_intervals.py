"""How large the effect is among customers with much the same predicted effect, with an interval.

Held-out rows are grouped by their out-of-fold effect, and each group gets the mean of its doubly
robust scores with a standard error (sorted group averages, Chernozhukov et al. 2018). The
interval is about the average of such customers: no experiment shows the effect on one of them. Its
coverage on worlds with a known truth is measured by `benchmarks/effects.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

GROUPS = 10


def effect_bands(held_out: pd.DataFrame, contrast: np.ndarray) -> pd.DataFrame:
    """Groups by out-of-fold effect, one row per offer and group.

    Parameters
    ----------
    held_out : (rows, offers) out-of-fold effects.
    contrast : (rows, offers) AIPW scores of the effects.

    Returns
    -------
    DataFrame with columns offer, rows, predicted, observed, se; sorted by predicted.
    """
    found = []
    for place, offer in enumerate(held_out.columns):
        effect = held_out[offer].to_numpy()
        order = np.argsort(effect, kind="stable")
        groups = np.array_split(order, GROUPS) if np.ptp(effect) > 1e-12 else [order]
        for rows in groups:
            score = contrast[rows, place]
            found.append(
                {
                    "offer": offer,
                    "rows": len(rows),
                    "predicted": float(effect[rows].mean()),
                    "observed": float(score.mean()),
                    "se": float(score.std(ddof=1) / np.sqrt(len(rows))),
                }
            )
    return pd.DataFrame(found)


def interval(
    bands: pd.DataFrame, effects: pd.DataFrame, *, coverage: float
) -> Mapping[str, pd.DataFrame]:
    """Lower and upper ends, (rows, offers) each, for predicted effects.

    Observed averages and their errors are interpolated between the groups.

    Raises
    ------
    ValueError
        If coverage is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage: must lie between 0 and 1, found {coverage:g}")
    z = float(stats.norm.ppf(0.5 + coverage / 2))
    ends: dict[str, dict[str, np.ndarray]] = {"lo": {}, "hi": {}}
    for offer in effects.columns:
        mine = bands[bands["offer"] == offer]
        at = mine["predicted"].to_numpy()
        centre = np.interp(effects[offer], at, mine["observed"])
        half = z * np.interp(effects[offer], at, mine["se"])
        ends["lo"][offer], ends["hi"][offer] = centre - half, centre + half
    return {name: pd.DataFrame(columns, index=effects.index) for name, columns in ends.items()}
