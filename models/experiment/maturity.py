"""Which offers are old enough for what their returns earned to be known."""

from __future__ import annotations

import numpy as np
import pandas as pd


def value_known(rows: pd.DataFrame, *, now: pd.Timestamp, horizon_days: int) -> np.ndarray:
    """Rows whose value is known, whether the customer returned or not.

    A return that is not valued yet must not be left out alone: those who stayed away would then
    count too much. So a campaign is known as a whole, if no return of it lacks a value, or else by
    the age of its offers. If a return lacks its value although the horizon is over, nothing of
    that campaign is known.

    Parameters
    ----------
    rows
        (n, ...) as_of, when the offer was sent (UTC); returned (0 or 1); value (currency; missing
        if unknown); campaign (missing: those rows count as one campaign).
    now
        Up to when the data go, UTC.
    horizon_days
        Days from the offer over which value is summed.

    Returns
    -------
    ndarray, shape (n,), bool
    """
    campaign = campaign_names(rows)
    over = rows["as_of"] + pd.Timedelta(days=horizon_days) <= now
    lacks = (rows["returned"] > 0) & rows["value"].isna()
    is_open = lacks.groupby(campaign).transform("any")
    never_told = (lacks & over).groupby(campaign).transform("any")
    return (~is_open | (over & ~never_told)).to_numpy(dtype=bool)


def campaign_names(rows: pd.DataFrame) -> pd.Series:
    """(n,) the campaign of each row as text; "" where it has no name."""
    if "campaign" not in rows:
        return pd.Series("", index=rows.index)
    return rows["campaign"].astype("object").where(rows["campaign"].notna(), "").astype(str)
