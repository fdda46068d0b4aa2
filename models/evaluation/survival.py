"""Length of the second customer lifetime: Kaplan-Meier curve and restricted mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

MONTH_DAYS = 30.4375


@dataclass(frozen=True)
class Survival:
    """Share of customers still there, month by month.

    Attributes
    ----------
    curve
        months, staying (share), one row per end that was seen and one at the limit.
    mean_months, se
        Mean months within the limit (the area under the curve) and its standard error.
    customers
        How many customers it rests on.
    """

    curve: pd.DataFrame
    mean_months: float
    se: float
    customers: int


def survival(days: np.ndarray, ended: np.ndarray, *, limit_days: float) -> Survival:
    """Kaplan-Meier estimate of how long customers stay.

    Parameters
    ----------
    days
        (n,) days observed, at least 0.
    ended
        (n,) 1 where the relation ended then, 0 where it was still going on.
    limit_days
        Months are counted up to it.

    Raises
    ------
    ValueError
        If there are no rows or days are missing or negative.

    Notes
    -----
    Kaplan & Meier 1958; the variance of the restricted mean is the plug-in one of Irwin 1949.
    """
    if not len(days) or not (np.asarray(days) >= 0).all():
        raise ValueError("days: expected numbers of at least 0, found none, missing or negative")
    lived = np.minimum(np.asarray(days, float), limit_days) / MONTH_DAYS
    limit = limit_days / MONTH_DAYS
    event = (np.asarray(ended) > 0) & (np.asarray(days, float) < limit_days)
    times = np.unique(lived[event])
    at_risk = len(lived) - np.searchsorted(np.sort(lived), times, side="left")
    ends = np.searchsorted(np.sort(lived[event]), times, side="right") - np.searchsorted(
        np.sort(lived[event]), times, side="left"
    )
    staying = np.cumprod(1.0 - ends / at_risk)
    edges = np.concatenate([[0.0], times, [limit]])
    level = np.concatenate([[1.0], staying])
    areas = np.diff(edges) * level
    left = areas[::-1].cumsum()[::-1][1:]  # area to the right of each end
    open_risk = at_risk - ends
    terms = np.divide(
        left**2 * ends, at_risk * open_risk, out=np.zeros(len(ends)), where=open_risk > 0
    )
    curve = pd.DataFrame({"months": edges, "staying": np.append(level, level[-1])})
    return Survival(curve, float(areas.sum()), float(np.sqrt(terms.sum())), len(lived))
