"""Facts known before the offer as a numeric design, for balance checks and sharper effects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

MOST_LEVELS = 20  # further levels of a category are pooled into the one left out


class Design(NamedTuple):
    """Standardized columns, shape (n, p), and the name of each."""

    names: tuple[str, ...]
    matrix: np.ndarray


def covariate_design(covariates: pd.DataFrame, *, most_columns: int | None = None) -> Design:
    """Numbers, missing-value indicators and categories as standardized columns.

    Missing numbers are filled with the median, with an indicator beside them; a category gives
    one column per level (the 20 most frequent). Constant columns are dropped. If more than
    `most_columns` remain, they are replaced by that many principal components, which use no
    outcome and so cannot bias an effect.

    Raises
    ------
    ValueError
        If a column is a timestamp, or holds infinities.
    """
    columns: dict[str, np.ndarray] = {}
    for name in sorted(map(str, covariates.columns)):
        columns |= _columns(name, covariates[name])
    kept = {name: values for name, values in columns.items() if np.ptp(values) > 0}
    if not kept:
        return Design((), np.empty((len(covariates), 0)))
    matrix = np.column_stack(list(kept.values()))
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    if most_columns is None or matrix.shape[1] <= most_columns:
        return Design(tuple(kept), matrix)
    _, vectors = np.linalg.eigh(matrix.T @ matrix)
    parts = matrix @ vectors[:, ::-1][:, :most_columns]
    names = tuple(f"component_{at + 1}" for at in range(most_columns))
    return Design(names, parts / parts.std(axis=0))


def _columns(name: str, values: pd.Series) -> dict[str, np.ndarray]:
    if pd.api.types.is_datetime64_any_dtype(values):
        raise ValueError(
            f"covariates: column '{name}' must be a number or a category, found a timestamp; "
            "turn it into days before the offer"
        )
    missing = values.isna().to_numpy()
    indicator = {f"{name} missing": missing.astype(np.float64)}
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        known = numbers[~missing]
        if not np.isfinite(known).all():
            raise ValueError(
                f"covariates: column '{name}' must be finite, found infinity; make it missing"
            )
        return {name: np.where(missing, np.median(known) if len(known) else 0.0, numbers)} | (
            indicator
        )
    text = values.astype(str).to_numpy()
    counts = pd.Series(text[~missing]).value_counts()
    frequent = sorted(counts.index, key=lambda level: (-counts[level], level))[:MOST_LEVELS]
    return {f"{name}={level}": (text == level).astype(np.float64) for level in frequent} | indicator
