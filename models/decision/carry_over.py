"""What a gain would be if effects were carried to other customers in another way.

An experiment says what an offer adds among its own customers. To customers unlike them the effect
can be carried as points of probability, as the forecast does, or as log odds, so that whoever
hardly ever returns unasked is hardly moved. No data of the experiment tell which is right; the two
totals say how much of a claim hangs on it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from ..offers import Offer, of_own_offer

_INSIDE = 1e-4, 1 - 1e-4  # probabilities whose log odds are not extreme


def gain_in_log_odds(
    table: pd.DataFrame, *, offers: Mapping[str, Offer], control: str, base: float
) -> np.ndarray:
    """Expected gain of each customer's offer over none, its effect carried in log odds.

    Parameters
    ----------
    table
        (n, ...) columns recommended_offer (names in `offers`) and the forecasts
        return_probability_, uplift_ and value_ of every offer and the control.
    base
        Share of the experiment's customers who return without an offer. The effect in log odds is
        the one that takes `base` to `base` plus the customer's forecast effect.

    Returns
    -------
    numpy.ndarray
        (n,) money, where the forecast's own is `expected_incremental_profit`.
    """
    names = table["recommended_offer"].to_numpy(dtype=object)
    alone = table[f"return_probability_{control}"].to_numpy(dtype=np.float64)
    lifted = np.clip(base + of_own_offer(table, names, "uplift_"), *_INSIDE)
    moved = logit(lifted) - logit(np.clip(base, *_INSIDE))
    chance = expit(logit(np.clip(alone, *_INSIDE)) + moved)
    value = of_own_offer(table, names, "value_")
    profit = np.full(len(table), np.nan)
    for name in set(names.tolist()):
        mine = names == name
        profit[mine] = offers[name].expected_profit(chance[mine], value[mine])
    return profit - alone * table[f"value_{control}"].to_numpy(dtype=np.float64)
