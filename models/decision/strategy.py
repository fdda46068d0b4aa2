"""Rules of practice: Buttle's strategies, priorities A, B and C, discounts by time since lapsing.

The words are those of the field: Buttle's seven strategies, Mann's A, B and C, the classes of
Stauss and Friege. Thresholds are arguments; the shares of A and B are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

RANK_POINTS = 201  # quantiles kept: a rank is exact to half a percent
A_SHARE, B_SHARE = 0.2, 0.3  # of a population; the rest is C
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


@dataclass(frozen=True)
class StrategyLimits:
    """Thresholds of Buttle's strategies.

    Attributes
    ----------
    new_days
        A relation younger than this is started.
    high_risk
        Churn probability from which a valuable customer is protected.
    high_value
        Money from which a customer counts as valuable; None: nobody does.
    least_growth
        Growth of spending from which there is more to sell.
    """

    new_days: float
    high_risk: float
    high_value: float | None
    least_growth: float = 0.05


@dataclass(frozen=True)
class PriorityCuts:
    """What ranks a customer among others without seeing the others.

    Attributes
    ----------
    margin, turnover, prospects
        Quantiles of each in the population, rising; empty where nothing was known.
    a, b
        Mean ranks from which a customer is A, or B.
    """

    margin: tuple[float, ...]
    turnover: tuple[float, ...]
    prospects: tuple[float, ...]
    a: float
    b: float


def strategies(
    facts: Mapping[str, np.ndarray],
    *,
    lost: np.ndarray,
    worth_winning: np.ndarray,
    judged: np.ndarray,
    limits: StrategyLimits,
) -> np.ndarray:
    """Buttle's strategy: start, protect, re-engineer, enhance, harvest, end or win back.

    Parameters
    ----------
    facts
        (rows,) each, NaN where unknown: value (of a year), cost_to_serve (of a year), growth
        (relative change of spending), risk (churn probability), tenure_days. What is unknown
        never triggers a rule.
    lost, worth_winning, judged
        (rows,) bool: a customer who is lost; one whose value exceeds the cost of winning back; one
        of whom something tells whether it does.
    limits
        The thresholds.

    Returns
    -------
    (rows,) text
        Lost: "win back" or "end", empty where it is not judged. Active, the first that applies:
        "start" a new relation; "re-engineer" a valuable one that costs more than it brings, "end"
        one that is not valuable; "protect" a valuable one at risk; "enhance" a growing one that is
        not at risk; "harvest" the rest, also those at risk who are not worth the cost of keeping;
        but empty where the value is unknown.

    Notes
    -----
    Buttle, Customer Relationship Management; the order of the rules is ours.
    """
    valuable = facts["value"] >= (np.inf if limits.high_value is None else limits.high_value)
    losing = facts["value"] < facts["cost_to_serve"]
    at_risk = facts["risk"] >= limits.high_risk
    return np.select(
        [
            lost & worth_winning,
            lost & judged,
            lost,
            facts["tenure_days"] < limits.new_days,
            losing & valuable,
            losing,
            at_risk & valuable,
            (facts["growth"] >= limits.least_growth) & ~at_risk,
            np.isnan(facts["value"]),
        ],
        ["win back", "end", "", "start", "re-engineer", "end", "protect", "enhance", ""],
        default="harvest",
    )


def learn_priorities(margin: ArrayLike, turnover: ArrayLike, prospects: ArrayLike) -> PriorityCuts:
    """Quantiles and cut points of a population, so that `A_SHARE` of it is A and `B_SHARE` B."""
    columns = [np.asarray(part, dtype=float) for part in (margin, turnover, prospects)]
    tables = [_quantiles(column[~np.isnan(column)]) for column in columns]
    together = _mean_rank(tables, columns)
    ordered = np.sort(together[~np.isnan(together)])[::-1]
    cuts = [
        float(ordered[int(np.ceil(share * len(ordered) - 1e-9)) - 1]) if len(ordered) else 2.0
        for share in (A_SHARE, A_SHARE + B_SHARE)
    ]
    margins, turnovers, hopes = tables
    return PriorityCuts(margins, turnovers, hopes, a=cuts[0], b=cuts[1])


def priorities(
    cuts: PriorityCuts, margin: ArrayLike, turnover: ArrayLike, prospects: ArrayLike
) -> np.ndarray:
    """A, B or C (rows,): who deserves effort first, by margin, turnover and prospects together.

    The three are compared by rank, so that their units do not matter; a missing one is left out
    of a customer's mean, and a customer of whom none is known is C.

    Notes
    -----
    Mann & Turusina, "Vozvrashchentsy": not everybody should be returned, rank them first.
    """
    columns = [np.asarray(part, dtype=float) for part in (margin, turnover, prospects)]
    together = _mean_rank([cuts.margin, cuts.turnover, cuts.prospects], columns)
    return np.select([together >= cuts.a, together >= cuts.b], ["A", "B"], "C")


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    if not len(values):
        return ()
    points = np.quantile(values, np.linspace(0, 1, RANK_POINTS), method="inverted_cdf")
    return tuple(float(point) for point in points)


def _mean_rank(tables: Sequence[Sequence[float]], columns: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the known columns of the share of the population below, ties counted half."""
    total, counts = np.zeros(len(columns[0])), np.zeros(len(columns[0]))
    for table, column in zip(tables, columns, strict=True):
        if not len(table):
            continue
        there = ~np.isnan(column)
        sides = [np.searchsorted(table, column[there], side) for side in ("left", "right")]
        total[there] += (sides[0] + sides[1]) / (2 * len(table))
        counts[there] += 1
    return np.divide(total, counts, out=np.full(len(total), np.nan), where=counts > 0)


def lapse_discount(
    days_lapsed: ArrayLike, *, days: Sequence[float], percent: Sequence[float]
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
