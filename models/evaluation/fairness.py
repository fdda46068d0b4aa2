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
from .slices import cuts_of, levels_at

FEWEST_CUSTOMERS = 30  # candidates for an offer in a group that is judged
LEAST_RATIO = 0.8
MOST_GROUPS = 50  # a text with more values is no group but an id, and would name persons
NOT_STATED = "not stated"
OF_CUSTOMERS = {  # whose mean each figure is
    "offer_rate": "candidates",
    "uplift": "offered",
    "gain": "gain_known",
    "churn_risk": "active",
}
COLUMNS = (
    *("column", "group", "candidates", "offer_rate", "lo", "hi", "ratio", "alert"),
    *("uplift", "gain", "active", "churn_risk"),
)


def bands_of(values: pd.Series) -> np.ndarray | None:
    """Where numbers and dates of all customers are cut into groups; None for others."""
    return None if pd.api.types.is_bool_dtype(values) else cuts_of(_plain(values))


def groups_of(values: pd.Series, bands: np.ndarray | None) -> pd.Series:
    """Group of each customer, of a part or of all: a text as it is, numbers and dates in bands."""
    values = _plain(values)
    if bands is None and pd.api.types.is_float_dtype(values):
        values = values.map("{:.15g}".format, na_action="ignore")  # 1, whether others are missing
    labels = pd.Series(levels_at(bands, values), index=values.index, dtype="object")
    return labels.where(labels.isna(), labels.astype("str")).fillna(NOT_STATED)


def counted(customers: pd.DataFrame, groups: pd.Series, *, control: str) -> pd.DataFrame:
    """Offers and risks by group of customers; those of parts of the list add up.

    Parameters
    ----------
    customers
        One row each, as in the list: recommended_offer (missing unless the customer is a candidate
        for one), expected_incremental_profit, uplift_<offer>, churn_probability (missing unless
        active). Columns that are absent are not known.
    groups
        Group of each of these rows.
    control
        The name of no offer.

    Returns
    -------
    pandas.DataFrame
        By group, numbers of customers: candidates, offered of them, gain_known, active.
        Sums: uplift of the recommended offer, gain of candidates, churn_risk.
    """
    offer = _column(customers, "recommended_offer")
    candidate = offer.notna()
    offered = candidate & (offer != control)
    risk = _column(customers, "churn_probability").astype("float64")
    gain = _column(customers, "expected_incremental_profit").astype("float64").where(candidate)
    uplift = pd.Series(0.0, index=customers.index)
    uplift[offered] = of_own_offer(customers[offered], offer[offered], "uplift_")
    facts = {"candidates": candidate, "offered": offered, "uplift": uplift}
    facts |= {"gain": gain, "gain_known": gain.notna()}
    facts |= {"active": risk.notna(), "churn_risk": risk}
    return pd.DataFrame(facts).groupby(groups.rename("group")).sum()


def by_group(counts: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Offers, what they are expected to bring, and the risk to leave, by group of customers.

    Parameters
    ----------
    counts
        See `counted`.
    level
        Of the intervals of the offer rate (Wilson 1927).

    Returns
    -------
    pandas.DataFrame
        One row a group, by name: group; candidates; offer_rate, lo, hi, their share with an
        offer; ratio, to the highest rate of a judged group; alert, whether that is below
        `LEAST_RATIO`; uplift, mean effect of the recommended offer on returning or staying among
        those who have one; gain, mean expected gain in money of a candidate; active, churn_risk.
        Figures of fewer than `FEWEST_CUSTOMERS` customers are NaN, and such groups are not judged.
    """
    table = counts[["candidates", "active"]].assign(
        offer_rate=counts["offered"] / counts["candidates"],
        uplift=counts["uplift"] / counts["offered"],
        gain=counts["gain"] / counts["gain_known"],
        churn_risk=counts["churn_risk"] / counts["active"],
    )
    for name, of in OF_CUSTOMERS.items():
        table[name] = table[name].where(counts[of] >= FEWEST_CUSTOMERS)
    judged = table["candidates"].where(table["candidates"] >= FEWEST_CUSTOMERS)
    table["lo"], table["hi"] = wilson_interval(table["offer_rate"], judged, level=level)
    highest = table["offer_rate"].max()
    table["ratio"] = table["offer_rate"] / highest if highest > 0 else np.nan
    table["alert"] = table["ratio"] < LEAST_RATIO
    return table.reset_index()[[name for name in COLUMNS if name != "column"]]


def _plain(values: pd.Series) -> pd.Series:
    """Numbers as such, dates by their years, all else as it is."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.year.astype("float64")
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype("float64")
    return values


def _column(customers: pd.DataFrame, name: str) -> pd.Series:
    if name in customers:
        return customers[name]
    return pd.Series(np.nan, index=customers.index, dtype="object")
