"""Train, calibrate, test: parts of the snapshots that do not see each other's outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..groups import group_labels
from .held_out import held_out
from .twins import twin_keys

PARTS = ("train", "calibrate", "test")
GAP = "gap"
DAY_SECONDS = 86_400
AT_RANDOM = "at random: the table has no dates, so that nothing is tested on later ones"


@dataclass(frozen=True)
class TimeSplit:
    """Part of each row (rows,), "train", "calibrate", "test" or "gap", and how rows were split."""

    part: np.ndarray
    how: str


def day_numbers(as_of: pd.Series) -> np.ndarray:
    """Days since 1970 of timestamps, or of int64 seconds (rows,)."""
    if pd.api.types.is_datetime64_any_dtype(as_of):
        seconds = as_of.astype("datetime64[s]").astype("int64").to_numpy()
    elif pd.api.types.is_integer_dtype(as_of):
        seconds = as_of.to_numpy(dtype=np.int64)
    else:
        raise ValueError(
            f"snapshots: as_of must be timestamps or whole seconds, found {as_of.dtype}; cast it"
        )
    return np.asarray(seconds / DAY_SECONDS)


def split_by_time(
    rows: pd.DataFrame,
    *,
    gap_days: float | None,
    calibrate_share: float,
    test_share: float,
    seed: int,
    features: Sequence[str] = (),
) -> TimeSplit:
    """Split snapshots into train, calibrate and test.

    The latest as-of dates are the test part. Dates less than `gap_days` before it are left out:
    their labels look into it. Of the earlier dates, calibration takes customers whom training
    never sees, which keeps every date for training and does not mistake a season for a
    miscalibration. With a single date (or none early enough) all three parts are of other
    customers.

    Parameters
    ----------
    rows
        Snapshots, with customer_id, as_of and as far as known group_id: groups stay together.
    gap_days
        How far a label looks ahead (lead and horizon). None where labels have no dates: then rows
        are parted at random, and rows that agree in all `features` stay together.
    calibrate_share, test_share
        Test: share of the as-of dates, at least one. Calibrate: share of the customers.
    seed
        Draws the customers.

    Raises
    ------
    ValueError
        If there are no rows, the shares are out of range or as_of is not a time.
    """
    if not (0 < calibrate_share < 1 and 0 < test_share < 1 and calibrate_share + test_share < 1):
        raise ValueError(
            "snapshots: calibrate_share and test_share must be positive and leave rows to train "
            f"on, found {calibrate_share} and {test_share}"
        )
    if not len(rows):
        raise ValueError("snapshots: no rows; no label has matured, or nobody was active")
    if gap_days is None:
        keys = group_labels(rows, alone=twin_keys(rows, features))
        return TimeSplit(_by_customer(keys, test_share, calibrate_share, seed), AT_RANDOM)
    days = day_numbers(rows["as_of"])
    dates = np.unique(days)
    part = np.full(len(days), GAP, dtype="<U9")
    first_test = dates[-max(1, round(test_share * len(dates)))]
    before_test = dates[dates <= first_test - gap_days]
    if not len(before_test):
        held = _by_customer(group_labels(rows), test_share, calibrate_share, seed)
        return TimeSplit(held, "customers: too few as-of dates to test on later ones")
    part[days >= first_test] = "test"
    early = days <= before_test[-1]
    apart = held_out(group_labels(rows), share=calibrate_share / (1 - test_share), seed=seed)
    part[early & ~apart] = "train"
    part[early & apart] = "calibrate"
    return TimeSplit(part, "time: tested on later dates, calibrated on customers kept apart")


def _by_customer(
    together: pd.Series, test_share: float, calibrate_share: float, seed: int
) -> np.ndarray:
    tested = held_out(together, share=test_share, seed=seed)
    kept = held_out(together, share=calibrate_share / (1 - test_share), seed=seed + 1)
    return np.where(tested, "test", np.where(kept, "calibrate", "train")).astype("<U9")
