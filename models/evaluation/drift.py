"""Drift: the distance of each feature between the training set and the customers of today."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

LEVELS = ("ok", "warn", "alarm")
WARN, ALARM = 0.1, 0.25  # by custom: worth a look, and an alarm
BINS = 10
MOST_VALUES = 20


def drift(
    reference: pd.DataFrame, current: pd.DataFrame, *, warn: float = WARN, alarm: float = ALARM
) -> pd.DataFrame:
    """Effect-size distance of each feature of `current` from `reference`; no p-values.

    `distance` is the population stability index: sum of (p - q) * log(p / q) over bins, where a
    missing value is a bin of its own, a category or one of at most 20 distinct numbers is a bin,
    and other numbers fall between the deciles of the reference. What sampling alone adds on
    average, (bins - 1) * (1/n + 1/m), is taken off, so that small samples raise no false alarm.

    Parameters
    ----------
    reference, current
        Features only; columns of `reference` that `current` lacks are an error, others ignored.
    warn, alarm
        Thresholds of `distance`.

    Returns
    -------
    DataFrame
        One row per feature, largest distance first: feature, distance, shift (Wasserstein
        distance in standard deviations of the reference; NaN for a category or where there is no
        spread), missing_reference, missing_current (shares), level ('ok', 'warn', 'alarm').

    Raises
    ------
    ValueError
        If a column is missing, a frame is empty, or thresholds are not 0 < warn <= alarm.
    """
    if not 0 < warn <= alarm:
        raise ValueError(
            f"drift: thresholds must be 0 < warn <= alarm, found {warn} and {alarm}; "
            "correct them in params.yaml"
        )
    absent = [str(name) for name in reference.columns if name not in current.columns]
    if absent:
        raise ValueError(
            f"drift: the scoring set lacks {len(absent)} features: {', '.join(absent[:8])}; "
            "build it with the stage featurize of the same version"
        )
    if reference.empty or current.empty:
        raise ValueError(
            f"drift: both sets need rows, found {len(reference)} and {len(current)}; "
            "check the source"
        )
    rows = [_compare(str(name), reference[name], current[name]) for name in reference.columns]
    table = pd.DataFrame(
        rows, columns=["feature", "distance", "shift", "missing_reference", "missing_current"]
    )
    steps = np.digitize(table["distance"], [warn, alarm])
    table["level"] = [LEVELS[step] for step in steps]
    return table.sort_values(["distance", "feature"], ascending=[False, True], ignore_index=True)


def _compare(
    name: str, before: pd.Series, after: pd.Series
) -> tuple[str, float, float, float, float]:
    is_number = pd.api.types.is_numeric_dtype(before) or pd.api.types.is_bool_dtype(before)
    if is_number:
        old, new = (side.to_numpy(dtype=np.float64, na_value=np.nan) for side in (before, after))
        old_bins, new_bins = _number_bins(old, new)
        shift = _shift(old[~np.isnan(old)], new[~np.isnan(new)])
    else:
        old_bins, new_bins = _category_bins(before, after)
        shift = float("nan")
    distance = _stability_index(old_bins, new_bins)
    return name, distance, shift, float(before.isna().mean()), float(after.isna().mean())


def _number_bins(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bin numbers of both sides; -1 is missing."""
    present = old[~np.isnan(old)]
    values = np.unique(present)
    if len(values) <= MOST_VALUES:
        edges = np.sort(np.concatenate([values, np.nextafter(values, -np.inf)]))
    else:
        edges = np.unique(np.quantile(present, np.arange(1, BINS) / BINS))
    return _placed(old, edges), _placed(new, edges)


def _placed(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="left"))


def _category_bins(before: pd.Series, after: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    old, new = (side.astype("str").where(side.notna(), None) for side in (before, after))
    levels = sorted(set(old.dropna()) | set(new.dropna()))
    coded = (pd.Categorical(side, categories=levels).codes for side in (old, new))
    old_bins, new_bins = (np.asarray(codes, dtype=np.int64) for codes in coded)
    return old_bins, new_bins


def _stability_index(old_bins: np.ndarray, new_bins: np.ndarray) -> float:
    bins = np.union1d(old_bins, new_bins)
    if len(bins) < 2:
        return 0.0
    counts = [
        np.bincount(np.searchsorted(bins, side), minlength=len(bins))
        for side in (old_bins, new_bins)
    ]
    # Half a row in every bin keeps the logarithm finite where one side has none.
    p, q = ((count + 0.5) / (count.sum() + 0.5 * len(bins)) for count in counts)
    index = float(((p - q) * np.log(p / q)).sum())
    by_chance = (len(bins) - 1) * (1 / len(old_bins) + 1 / len(new_bins))
    return max(0.0, index - by_chance)


def _shift(old: np.ndarray, new: np.ndarray) -> float:
    spread = float(old.std()) if len(old) else 0.0
    if not len(new) or spread == 0.0:
        return float("nan")
    return float(wasserstein_distance(old, new)) / spread
