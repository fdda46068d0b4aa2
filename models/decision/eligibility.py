"""Rules that exclude a customer from an offer, and the word for the first that applies.

What is unknown excludes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Rules:
    """Thresholds of the rules; None switches a rule off.

    Attributes
    ----------
    lost_limit
        Customers lost that often are not won back again.
    cooldown_days
        Customers contacted less than so many days ago wait.
    hopeless_reasons
        Stated reasons for leaving that no offer mends.
    least_experiment_rows
        Customers of whose kind fewer were in the experiment get no offer.
    smallest_profit
        Expected gain over no offer that an offer must exceed.
    do_not_disturb
        Whether an offer that makes a return less likely is not sent.
    """

    lost_limit: float | None = 2
    cooldown_days: float | None = 30
    hopeless_reasons: tuple[str, ...] | None = ("both", "moved", "need_gone", "involuntary")
    least_experiment_rows: float | None = 100
    smallest_profit: float | None = 0.0
    do_not_disturb: bool | None = True


HARD_RULES = ("lost_limit", "cooldown_days", "hopeless_reasons", "least_experiment_rows")
OPEN_RULES = ("cooldown_days", "least_experiment_rows")  # of these, an offer may be worth it yet


def excluded_by(rules: Rules, facts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Name of the first hard rule that excludes each customer (rows,), empty if none does.

    Parameters
    ----------
    rules
        The thresholds.
    facts
        (rows,) each: times_lost, days_since_last_contact, reason (text) and experiment_rows
        (customers of this kind in the experiment); NaN or None where unknown.
    """
    rows = len(facts["times_lost"])
    masks = {
        "lost_limit": lambda limit: facts["times_lost"] >= limit,
        "cooldown_days": lambda days: facts["days_since_last_contact"] < days,
        "hopeless_reasons": lambda reasons: pd.Series(facts["reason"]).isin(reasons).to_numpy(),
        "least_experiment_rows": lambda least: facts["experiment_rows"] < least,
    }
    excluded = np.full(rows, "", dtype=object)
    for name in reversed(HARD_RULES):  # so that the first one that applies is written last
        threshold = getattr(rules, name)
        if threshold is not None:
            excluded[np.asarray(masks[name](threshold), dtype=bool)] = name
    return excluded
