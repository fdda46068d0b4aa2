"""Whom offers reach, by groups of a protected column that no model has seen.

A group whose offer rate is below four fifths of that of the group with the highest one is pointed
out: the rule of thumb of the US Uniform Guidelines on Employee Selection Procedures (1978),
section 4D. It is a sign to look closer, not a finding of law.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..intervals import wilson_interval
from ..offers import of_own_offer
from .slices import levels

FEWEST_CUSTOMERS = 30  # lost customers of a group that is judged
LEAST_RATIO = 0.8
MOST_GROUPS = 50  # a text with more values is no group but an id, and would name persons
NOT_STATED = "not stated"
COLUMNS = (
    *("column", "group", "lost", "offer_rate", "lo", "hi", "ratio", "alert"),
    *("uplift", "gain", "active", "churn_risk"),
)


def groups_of(values: pd.Series) -> pd.Series | None:
    """Group of each customer: a text as it is, numbers and dates in bands; None if too many."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.dt.year.astype("float64")
    labels = pd.Series(levels(values, values), index=values.index, dtype="object")
    named = labels.where(labels.isna(), labels.astype("str")).fillna(NOT_STATED)
    return named if named.nunique() <= MOST_GROUPS else None


def by_group(
    customers: pd.DataFrame, groups: pd.Series, *, control: str, level: float = 0.95
) -> pd.DataFrame:
    """Offers, what they are expected to bring, and the risk to leave, by group of customers.

    Parameters
    ----------
    customers
        One row each, as in the list: recommended_offer (missing unless the customer is lost and a
        candidate), expected_incremental_profit, uplift_<offer>, churn_probability (missing unless
        active). Columns that are absent are not known.
    groups
        Group of each of these rows.
    control
        The name of no offer.
    level
        Of the intervals of the offer rate (Wilson 1927).

    Returns
    -------
    pandas.DataFrame
        One row a group, by name: group; lost, the candidates; offer_rate, lo, hi, their share with
        an offer; ratio, to the highest rate of a judged group; alert, whether that is below
        `LEAST_RATIO`; uplift, mean effect of the recommended offer on the return among those who
        have one; gain, mean expected gain in money of a candidate; active, churn_risk. Figures of
        fewer than `FEWEST_CUSTOMERS` customers are NaN, and such groups are not judged.
    """
    offer = _column(customers, "recommended_offer")
    candidate = offer.notna()
    offered = candidate & (offer != control)
    risk = _column(customers, "churn_probability").astype("float64")
    gain = _column(customers, "expected_incremental_profit").astype("float64")
    uplift = np.full(len(customers), np.nan)
    uplift[offered] = of_own_offer(customers[offered], offer[offered], "uplift_")
    facts = pd.DataFrame(
        {
            "group": groups.to_numpy(),
            "lost": candidate.to_numpy(),
            "offer_rate": np.where(candidate, offered, np.nan),
            "uplift": uplift,
            "gain": np.where(candidate, gain, np.nan),
            "active": risk.notna().to_numpy(),
            "churn_risk": risk.to_numpy(),
        }
    )
    table = facts.groupby("group").agg(
        lost=("lost", "sum"),
        offer_rate=("offer_rate", "mean"),
        uplift=("uplift", "mean"),
        gain=("gain", "mean"),
        active=("active", "sum"),
        churn_risk=("churn_risk", "mean"),
    )
    few = table["lost"] < FEWEST_CUSTOMERS
    table.loc[few, ["offer_rate", "uplift", "gain"]] = np.nan
    table.loc[table["active"] < FEWEST_CUSTOMERS, "churn_risk"] = np.nan
    table["lo"], table["hi"] = wilson_interval(
        table["offer_rate"], table["lost"].where(~few), level=level
    )
    highest = table["offer_rate"].max()
    table["ratio"] = table["offer_rate"] / highest if highest > 0 else np.nan
    table["alert"] = table["ratio"] < LEAST_RATIO
    return table.reset_index()[[name for name in COLUMNS if name != "column"]]


def _column(customers: pd.DataFrame, name: str) -> pd.Series:
    if name in customers:
        return customers[name]
    return pd.Series(np.nan, index=customers.index, dtype="object")
