"""Rules of practice: what to do with a customer at all, who comes first, what a lapse is worth.

The words are those of the field: Buttle's seven strategies, Mann's A, B and C, the classes of
Stauss and Friege. Every threshold is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

LAPSE_DAYS = (90.0, 180.0, 360.0)
LAPSE_DISCOUNT_PERCENT = (10.0, 15.0, 20.0)
STRATEGIES = ("start", "protect", "re-engineer", "enhance", "harvest", "end", "win back")
DEPARTURE_CLASSES = {
    "price": "bought away",
    "service": "unintentionally pushed away",
    "both": "unintentionally pushed away",
    "product": "unintentionally pushed away",
    "competitor": "pulled away",
    "moved": "moved away",
    "need_gone": "moved away",
    "involuntary": "intentionally pushed away",
}


def strategies(
    facts: pd.DataFrame,
    *,
    worth_winning: ArrayLike,
    new_days: float = 90.0,
    high_risk: float = 0.10,
    high_value: float | None = None,
    least_growth: float = 0.05,
) -> np.ndarray:
    """One of Buttle's seven strategies for every customer.

    Parameters
    ----------
    facts
        One row per customer: population ("active", or anything else for lost), and as far as
        known value (money ahead), cost_to_serve (of the same period), growth (relative change of
        spending), risk (churn probability), tenure_days. A missing column or number never
        triggers a rule.
    worth_winning
        (rows,) bool: a lost customer whose value exceeds the cost of winning him back.
    new_days
        A relation younger than this is started.
    high_risk
        Churn probability from which a valuable customer is protected.
    high_value
        Money from which a customer counts as valuable; None is the median of the active ones.
    least_growth
        Growth from which there is more to sell.

    Returns
    -------
    (rows,) text
        Lost: "win back" or "end". Active, the first that applies: "start" a new relation;
        "re-engineer" a valuable one that costs more than it brings, "end" one that is not
        valuable; "protect" a valuable one at risk; "enhance" a growing one; "harvest" the rest.

    Raises
    ------
    ValueError
        If the population is missing.

    Notes
    -----
    Buttle, Customer Relationship Management; the order of the rules is ours.
    """
    if "population" not in facts.columns:
        raise ValueError("facts: column 'population' is missing; it tells active from lost")
    lost = (facts["population"] != "active").to_numpy()
    names = ("value", "cost_to_serve", "growth", "risk", "tenure_days")
    value, cost, growth, risk, tenure = (_numbers(facts, name) for name in names)
    known = value[~lost & ~np.isnan(value)]
    middle = float(np.median(known)) if len(known) else np.inf
    valuable = value >= (middle if high_value is None else high_value)
    losing = value < cost
    return np.select(
        [
            lost & np.asarray(worth_winning, dtype=bool),
            lost,
            tenure < new_days,
            losing & valuable,
            losing,
            (risk >= high_risk) & valuable,
            growth >= least_growth,
        ],
        ["win back", "end", "start", "re-engineer", "end", "protect", "enhance"],
        default="harvest",
    )


def priorities(
    margin: ArrayLike,
    turnover: ArrayLike,
    prospects: ArrayLike,
    *,
    a_share: float = 0.2,
    b_share: float = 0.3,
) -> np.ndarray:
    """A, B or C (rows,): who deserves effort first, by margin, turnover and prospects together.

    The three are compared by rank, so that their units do not matter; a missing one is left out
    of a customer's mean, and who has none is C. Equal customers get the same letter.

    Raises
    ------
    ValueError
        If the shares of A and B are not positive or leave nothing for C.

    Notes
    -----
    Mann & Turusina, "Vozvrashchentsy": not everybody should be returned, rank them first.
    """
    if not (a_share > 0 and b_share > 0 and a_share + b_share < 1):
        raise ValueError(
            f"priority: shares of A and B must be positive and leave a C, found {a_share} and "
            f"{b_share}"
        )
    columns = [pd.Series(np.asarray(part, dtype=float)) for part in (margin, turnover, prospects)]
    together = pd.concat([column.rank(pct=True) for column in columns], axis=1).mean(axis=1)
    place = 1 - together.rank(pct=True, method="max")
    letters = np.select(
        [place < a_share - 1e-12, place < a_share + b_share - 1e-12], ["A", "B"], "C"
    )
    return np.where(together.isna(), "C", letters)


def lapse_discount(
    days_lapsed: ArrayLike,
    *,
    days: Sequence[float] = LAPSE_DAYS,
    percent: Sequence[float] = LAPSE_DISCOUNT_PERCENT,
) -> np.ndarray:
    """Discount in percent (rows,) by days since the last purchase: 0 before the first step.

    Raises
    ------
    ValueError
        If the steps do not rise or the two lists differ in length.
    """
    steps = np.asarray(days, dtype=float)
    if len(steps) != len(percent) or not (np.diff(steps) > 0).all():
        raise ValueError(
            f"lapse discount: days must rise, one percent each, found days {list(days)} and "
            f"percent {list(percent)}"
        )
    lapsed = np.nan_to_num(np.asarray(days_lapsed, dtype=float), nan=0.0)
    return np.r_[0.0, np.asarray(percent, dtype=float)][np.searchsorted(steps, lapsed, "right")]


def departure_class(reason: pd.Series) -> np.ndarray:
    """Stauss and Friege's class (rows,) of a reason for leaving; "unknown" for any other word.

    Notes
    -----
    Stauss & Friege, Journal of Service Research 1(4), 1999.
    """
    return reason.map(DEPARTURE_CLASSES).fillna("unknown").to_numpy(dtype=object)


def _numbers(facts: pd.DataFrame, name: str) -> np.ndarray:
    if name not in facts.columns:
        return np.full(len(facts), np.nan)
    return facts[name].to_numpy(dtype=np.float64, na_value=np.nan)
