"""Twins: rows that agree in every feature, which a random split must not put on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def twin_keys(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """A hash of the values of each row; equal rows have equal ones, whatever the other rows are.

    Parameters
    ----------
    rows
        (n, ...) numbers, flags and texts; missing values are equal to each other.
    columns
        The columns that are compared.

    Returns
    -------
    Series
        (n,) text.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise ValueError(
            f"snapshots: column {', '.join(missing)} is missing, so equal rows cannot be told; "
            "build the features again"
        )
    plain = pd.DataFrame({name: _plain(rows[name]) for name in columns}, index=rows.index)
    hashed = pd.util.hash_pandas_object(plain, index=False, categorize=False)
    return hashed.astype("str")


def count_twins(keys: pd.Series) -> int:
    """How many rows have at least one equal row."""
    return int(keys.duplicated(keep=False).sum())


def _plain(values: pd.Series) -> pd.Series:
    """Numbers as floats and the rest as text, so that a file's types do not change the hash."""
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return pd.Series(values.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index)
    return values.astype("str").astype("object").where(values.notna(), "")
