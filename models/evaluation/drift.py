"""Drift: the distance of each feature between the training set and the customers of today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

LEVELS = ("ok", "warn", "alarm")
WARN, ALARM = 0.1, 0.25  # by custom: worth a look, and an alarm
BINS = 10
MOST_VALUES = 20

Pairs: TypeAlias = Sequence[tuple[int | str | None, int]]
Counts: TypeAlias = Mapping[str, Pairs]
Bins: TypeAlias = Mapping[str, np.ndarray | None]


def drift(reference: pd.DataFrame, current: pd.DataFrame) -> pd.DataFrame:
    """Effect-size distance of each feature of `current` from `reference`; no p-values.

    `distance` is the population stability index: sum of (p - q) * log(p / q) over bins, where a
    missing value is a bin of its own, a category or one of at most 20 distinct numbers is a bin,
    and other numbers fall between the deciles of the reference. What sampling alone adds on
    average, (bins - 1) * (1/n + 1/m), is taken off, so that small samples raise no false alarm.

    Parameters
    ----------
    reference, current
        Features only; columns of `reference` that `current` lacks are an error, others ignored.

    Returns
    -------
    DataFrame
        One row per feature, largest distance first: feature, distance, shift (Wasserstein
        distance in standard deviations of the reference; NaN for a category or where there is no
        spread), missing_reference, missing_current (shares), level ('ok', from `WARN` on 'warn',
        from `ALARM` on 'alarm').

    Raises
    ------
    ValueError
        If a column is missing or a frame is empty.
    """
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
    counts = counted(bins_of(reference), current)
    table = distances(reference, counts)
    sides = [(reference[name], current[name]) for name in table["feature"]]
    table["shift"] = [_shift_of(before, after) for before, after in sides]
    table["missing_reference"] = [float(before.isna().mean()) for before, _ in sides]
    table["missing_current"] = [float(after.isna().mean()) for _, after in sides]
    return table[["feature", "distance", "shift", "missing_reference", "missing_current", "level"]]


def bins_of(reference: pd.DataFrame) -> Bins:
    """Where the bins of each feature end, rising; None for a category, whose texts are bins."""
    return {
        str(name): _edges(_numbers(values)) if _is_number(values) else None
        for name, values in reference.items()
    }


def counted(bins: Bins, current: pd.DataFrame) -> Counts:
    """Rows of `current` in each bin of a reference, by feature: those of its parts add up.

    Returns
    -------
    dict
        By feature a list of pairs: the bin (a number, the text of a category, or None where the
        value is missing) and its rows.
    """
    return {name: _counts(edges, current[name]) for name, edges in bins.items()}


def added(parts: Iterable[Counts]) -> Counts:
    """The counts of all rows, from those of their parts."""
    sums: dict[str, Counter[int | str | None]] = {}
    for part in parts:
        for feature, pairs in part.items():
            sums.setdefault(feature, Counter()).update(dict(pairs))
    return {feature: list(bins.items()) for feature, bins in sums.items()}


def distances(reference: pd.DataFrame, counts: Counts) -> pd.DataFrame:
    """As `drift` does, feature, distance and level only, from counts of the other side."""
    own = counted(bins_of(reference), reference)
    rows = [(name, _stability_index(own[name], counts[name])) for name in own]
    table = pd.DataFrame(rows, columns=["feature", "distance"])
    table["level"] = [LEVELS[step] for step in np.digitize(table["distance"], [WARN, ALARM])]
    return table.sort_values(["distance", "feature"], ascending=[False, True], ignore_index=True)


def _counts(edges: np.ndarray | None, after: pd.Series) -> list[tuple[int | str | None, int]]:
    if edges is not None:
        placed = _placed(_numbers(after), edges)
        values, counts = np.unique(placed, return_counts=True)
        bins: list[int | str | None] = [None if value < 0 else int(value) for value in values]
        return list(zip(bins, counts.tolist(), strict=True))
    missing = int(after.isna().sum())
    found = after.dropna().astype("str").value_counts()
    texts = sorted((str(text), int(rows)) for text, rows in found.items())
    return [*([(None, missing)] if missing else []), *texts]


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values))


def _numbers(values: pd.Series) -> np.ndarray:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _edges(old: np.ndarray) -> np.ndarray:
    """Where the bins of numbers end; a missing value has a bin of its own."""
    present = old[~np.isnan(old)]
    values = np.unique(present)
    if len(values) <= MOST_VALUES:
        return np.sort(np.concatenate([values, np.nextafter(values, -np.inf)]))
    return np.unique(np.quantile(present, np.arange(1, BINS) / BINS))


def _placed(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each number; -1 is missing."""
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="left"))


def _stability_index(before: Pairs, after: Pairs) -> float:
    old, new = dict(before), dict(after)
    both = {*old, *new}
    bins = [*(both & {None}), *sorted(both - {None})]  # type: ignore[type-var]
    if len(bins) < 2:
        return 0.0
    counts = [np.array([side.get(bin, 0) for bin in bins]) for side in (old, new)]
    # Half a row in every bin keeps the logarithm finite where one side has none.
    p, q = ((count + 0.5) / (count.sum() + 0.5 * len(bins)) for count in counts)
    index = float(((p - q) * np.log(p / q)).sum())
    by_chance = (len(bins) - 1) * sum(1 / int(count.sum()) for count in counts)
    return max(0.0, index - by_chance)


def _shift_of(before: pd.Series, after: pd.Series) -> float:
    if not _is_number(before):
        return float("nan")
    old, new = _numbers(before), _numbers(after)
    return _shift(old[~np.isnan(old)], new[~np.isnan(new)])


def _shift(old: np.ndarray, new: np.ndarray) -> float:
    spread = float(old.std()) if len(old) else 0.0
    if not len(new) or spread == 0.0:
        return float("nan")
    return float(wasserstein_distance(old, new)) / spread
