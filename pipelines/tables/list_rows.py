"""Rows of the list: who is to be sent an offer, and which rows come first."""

from __future__ import annotations

import pandas as pd

GAIN, RISK = "expected_incremental_profit", "churn_probability"


def is_sent(rows: pd.DataFrame, control: str) -> pd.Series:
    """Who is to be sent an offer: not the holdout, not those who get none."""
    offer = rows["recommended_offer"]
    return offer.notna() & (offer != control) & ~rows["holdout"]


def top(rows: pd.DataFrame, by: str, count: int) -> pd.DataFrame:
    """The rows with the largest values of a column, of equal ones the smaller id first."""
    keys = rows[[by, "customer_id"]].sort_values([by, "customer_id"], ascending=[False, True])
    return rows.loc[keys.index[:count]]


def leading(before: list[pd.DataFrame], rows: pd.DataFrame, by: str, count: int) -> pd.DataFrame:
    """`top` of the rows of a part and of those of the parts before, which may be none."""
    return top(pd.concat([*before, top(rows, by, count)], ignore_index=True), by, count)
