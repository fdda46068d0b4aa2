"""Slices of customers by which a model is graded: levels of a text, quartiles of a number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

SLICE_COLUMNS = ("days_in_lifetime", "complaints_180d", "departure_reason", "departures_so_far")
FINEST_SLICE = 6  # a number with more values than this is cut into quarters


def slice_levels(
    train: pd.DataFrame, test: pd.DataFrame, slices: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Level of each test row by slice; None takes those of `SLICE_COLUMNS` that are there."""
    names = [name for name in SLICE_COLUMNS if name in test.columns] if slices is None else slices
    return {name: levels(train[name], test[name]) for name in names}


def levels(reference: pd.Series, values: pd.Series) -> np.ndarray:
    """Level of each row: a text as it is, a number in bands cut at the reference's quartiles."""
    return levels_at(cuts_of(reference), values)


def cuts_of(reference: pd.Series) -> np.ndarray | None:
    """Where a number is cut into bands, at its quartiles; None for a text or few values."""
    if not pd.api.types.is_numeric_dtype(reference) or reference.nunique() <= FINEST_SLICE:
        return None
    return np.unique(reference.quantile([0.25, 0.5, 0.75]).to_numpy())


def levels_at(cuts: np.ndarray | None, values: pd.Series) -> np.ndarray:
    """Level of each row: its band between the cuts, or the value as it is."""
    if cuts is None:
        return values.astype("object").to_numpy()
    names = [f"up to {cuts[0]:.4g}"]
    names += [f"{low:.4g} to {high:.4g}" for low, high in pairwise(cuts)]
    names.append(f"above {cuts[-1]:.4g}")
    band = np.searchsorted(cuts, values.to_numpy(dtype=np.float64, na_value=np.nan))
    labels = np.array(names, dtype=object)[band]
    labels[values.isna().to_numpy()] = None
    return labels
