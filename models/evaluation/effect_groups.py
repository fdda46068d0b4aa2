"""Effects of offers in groups of held-out customers: by a stated fact, or by predicted effect."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..intervals import Estimate, mean_estimate
from .graded import Graded

PARTS = 5  # of equal size, by predicted effect
FEWEST_ROWS = 50  # a mean over fewer customers says nothing


def effects_by_group(judged: Graded, groups: pd.Series, *, level: float = 0.95) -> pd.DataFrame:
    """Average effect of every offer in every group, from the doubly robust scores.

    Parameters
    ----------
    judged
        Held-out rows with their scores.
    groups
        (n,) name of each row's group; groups with fewer than `FEWEST_ROWS` rows, or all of them in
        one cluster, are left out.
    level
        Confidence level of the intervals.

    Returns
    -------
    DataFrame
        group, offer, rows, effect, lo, hi; the largest group first. The effect is the mean
        difference between the scores of the offer and of the control, in the unit of the scores.
    """
    names = groups.astype("str").to_numpy()
    rows = []
    for group, count in pd.Series(names).value_counts(sort=True).items():
        if count < FEWEST_ROWS:
            continue
        members = np.flatnonzero(names == group)
        if _in_one_cluster(judged, members):
            continue
        for position, offer in enumerate(judged.names[1:], start=1):
            mean = _mean_effect(judged, members, position, level)
            rows.append((group, offer, int(count), mean.value, mean.lo, mean.hi))
    return pd.DataFrame(rows, columns=["group", "offer", "rows", "effect", "lo", "hi"])


def effects_by_predicted(
    judged: Graded, predicted: pd.DataFrame, *, level: float = 0.95
) -> pd.DataFrame:
    """Predicted against observed effect of every offer, in fifths by predicted effect.

    Parameters
    ----------
    judged
        Held-out rows with their scores.
    predicted
        (n, offers) predicted effects, one column per offer in the order of `judged.names[1:]`.
    level
        Confidence level of the intervals.

    Returns
    -------
    DataFrame
        offer, part (1: the smallest predicted effects), rows, predicted, observed, lo, hi; without
        parts that lie in one cluster.

    Raises
    ------
    ValueError
        If there are fewer rows than parts, or a column per offer is not there.
    """
    if predicted.shape != (len(judged.scores), len(judged.names) - 1):
        raise ValueError(
            f"predicted: expected {len(judged.scores)} rows and one column for each of "
            f"{', '.join(judged.names[1:])}, found {predicted.shape}"
        )
    if len(predicted) < 2 * PARTS:
        raise ValueError(f"predicted: expected at least {2 * PARTS} rows, found {len(predicted)}")
    rows = []
    for position, offer in enumerate(judged.names[1:], start=1):
        effect = predicted.iloc[:, position - 1].to_numpy()
        order = np.argsort(effect, kind="stable")
        for part, members in enumerate(np.array_split(order, PARTS), start=1):
            if _in_one_cluster(judged, members):
                continue
            mean = _mean_effect(judged, members, position, level)
            predicted_mean = float(effect[members].mean())
            rows.append((offer, part, len(members), predicted_mean, mean.value, mean.lo, mean.hi))
    columns = ["offer", "part", "rows", "predicted", "observed", "lo", "hi"]
    return pd.DataFrame(rows, columns=columns)


def lowest_and_highest(parts: pd.DataFrame) -> tuple[float, float, bool]:
    """Observed effects of the lowest and the highest of the parts by predicted effect.

    Each is the mean of the offers of `effects_by_predicted`; the third value says whether the
    highest lies above the lowest beyond noise. The offers share their control, so their errors are
    taken to go together.
    """
    ends = parts.groupby("part")[["observed", "lo", "hi"]].mean().iloc[[0, -1]]
    first, last = ends["observed"]
    reach = np.hypot(*((ends["hi"] - ends["lo"]) / 2))
    return float(first), float(last), bool(last - first > reach)


def _in_one_cluster(judged: Graded, members: np.ndarray) -> bool:
    """Whether those rows share their fate, so that they have no interval."""
    return judged.groups is not None and len(np.unique(judged.groups[members])) < 2


def _mean_effect(judged: Graded, members: np.ndarray, position: int, level: float) -> Estimate:
    """Mean effect of the offer at a position, on those rows."""
    gained = judged.scores[members, position] - judged.scores[members, 0]
    clusters = None if judged.groups is None else judged.groups[members]
    return mean_estimate(gained, clusters=clusters, level=level)
