"""How fast a churn model ages: models trained up to earlier dates, graded on one test part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..evaluation.held_out import held_out
from ..evaluation.probability import bootstrap_grades
from ..evaluation.survival import MONTH_DAYS
from ..evaluation.time_split import DAY_SECONDS, day_numbers
from ..formula.formula import evaluate
from ..groups import group_labels
from ..regression.blend import PLAIN, Boosting, Choice, fit_blend
from .churn import OUTPUT, ordered_snapshots

MOST_ROWS = 12_000  # of a training set; of more a sample of customers is taken, to test on too
REPEATS = 50
COLUMNS = ["months_older", "trained_from", "trained_until", "rows"]
COLUMNS += ["auc", "lo", "hi", "gain", "gain_lo", "gain_hi"]


def staleness(
    snapshots: pd.DataFrame,
    *,
    features: Sequence[str],
    gap_days: float,
    months: Sequence[float] = (0, 1, 3, 6, 12),
    test_share: float = 0.2,
    boosting: Boosting = PLAIN,
    seed: int,
    threads: int = 1,
) -> pd.DataFrame:
    """AUC on the latest as-of dates of models whose training data end earlier and earlier.

    All models see the same number of as-of dates, as many as there are for the oldest, so that
    only their age differs. Ages for which there are no dates, or not both leavers and stayers, are
    left out, and where no as-of date is `gap_days` before the test dates no row is left.

    Returns
    -------
    DataFrame
        months_older, trained_from, trained_until, rows, auc, lo, hi, gain, gain_lo, gain_hi; gain
        is the AUC above that of the youngest model on the same rows.

    Raises
    ------
    ValueError
        On unsound snapshots.
    """
    rows = ordered_snapshots(snapshots, features)
    outcome = rows["churned"].to_numpy(dtype=np.float64)
    days = day_numbers(rows["as_of"])
    dates = np.unique(days)
    first_test = dates[-max(1, round(test_share * len(dates)))]
    windows = _windows(dates, first_test - gap_days, months)
    sizes = [((days >= first) & (days <= last)).sum() for first, last in windows.values()]
    largest = max(sizes, default=0)
    sampled = np.ones(len(rows), dtype=bool)
    if largest > MOST_ROWS:
        sampled = held_out(rows["customer_id"], share=MOST_ROWS / largest, seed=seed)
    test = sampled & (days >= first_test)
    probabilities, records = {}, []
    for age, (first, last) in windows.items():
        train = sampled & (days >= first) & (days <= last)
        if not 0 < outcome[train].sum() < train.sum():
            continue
        blend = fit_blend(
            rows.loc[train, list(features)],
            outcome[train],
            boosting,
            seed=seed,
            threads=threads,
        )
        predictions = evaluate(
            blend.formula(Choice(), OUTPUT), rows.loc[test, list(features)], threads=threads
        )
        probabilities[str(age)] = predictions[OUTPUT].to_numpy()
        from_until = pd.to_datetime(np.round(np.array([first, last]) * DAY_SECONDS), unit="s")
        records.append((age, from_until[0], from_until[1], int(train.sum())))
    if not records:
        return pd.DataFrame(columns=COLUMNS)
    grades = bootstrap_grades(
        outcome[test],
        probabilities,
        cluster=group_labels(rows[test]).to_numpy(),
        repeats=REPEATS,
        seed=seed,
        metrics=("auc",),
    ).rename(columns={"value": "auc"})
    table = pd.DataFrame(records, columns=COLUMNS[:4])
    return table.join(grades.drop(columns=["model", "metric"]))


def _windows(
    dates: np.ndarray, latest: float, months: Sequence[float]
) -> dict[float, tuple[float, float]]:
    """Age in months -> first and last training date, of equally many dates."""
    ends = {age: dates[dates <= latest - age * MONTH_DAYS] for age in sorted(months)}
    ends = {age: usable for age, usable in ends.items() if len(usable)}
    width = min((len(usable) for usable in ends.values()), default=0)
    return {age: (float(usable[-width]), float(usable[-1])) for age, usable in ends.items()}
