"""Who must not, or need not, be made an offer: one small rule each.

A rule returns a mask of the customers that it excludes; what is unknown excludes nobody.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def lost_too_often(times_lost: ArrayLike, *, limit: float) -> np.ndarray:
    """Lost `limit` times or more: whoever left twice is not won back again."""
    return np.asarray(times_lost, dtype=float) >= limit


def contacted_recently(days_since_last_contact: ArrayLike, *, cooldown_days: float) -> np.ndarray:
    """Contacted less than `cooldown_days` ago."""
    return np.asarray(days_since_last_contact, dtype=float) < cooldown_days


def gone_for_good(reason: pd.Series, *, reasons: Collection[str]) -> np.ndarray:
    """Left for a reason that no offer mends."""
    return np.asarray(reason.isin(list(reasons)))


def too_little_evidence(experiment_rows: ArrayLike, *, least_rows: float) -> np.ndarray:
    """Fewer than `least_rows` customers of this kind were in the experiment."""
    return np.asarray(experiment_rows, dtype=float) < least_rows


def do_not_disturb(uplift: ArrayLike) -> np.ndarray:
    """(rows, offers): the offer makes a return less likely."""
    return np.asarray(uplift, dtype=float) < 0


def not_worth_it(gain: ArrayLike, *, smallest_profit: float) -> np.ndarray:
    """(rows, offers): expected profit above no offer is not larger than `smallest_profit`."""
    return np.asarray(gain, dtype=float) <= smallest_profit
