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


def covariate_design(covariates: pd.DataFrame) -> Design:
    """Numbers, missing-value indicators and categories as standardized columns.

    Missing numbers are filled with the median, with an indicator beside them; a category gives
    one column per level (the 20 most frequent). Constant columns are dropped.

    Raises
    ------
    ValueError
        If a column is a timestamp, or holds infinities.
    """
    columns: dict[str, np.ndarray] = {}
    for name in sorted(map(str, covariates.columns)):
        columns |= _columns(name, covariates[name])
    kept = {name: values for name, values in columns.items() if np.ptp(values) > 0}
    matrix = np.empty((len(covariates), len(kept)))
    for at, values in enumerate(kept.values()):
        matrix[:, at] = (values - values.mean()) / values.std()
    return Design(tuple(kept), matrix)


def leading_components(design: Design, most: int) -> Design:
    """The design itself, or `most` principal components of it if it has more columns.

    Components look at no outcome, so the choice cannot bias an effect. There are fewer of them
    where columns tell the same: what is beyond them is rounding.
    """
    if design.matrix.shape[1] <= most:
        return design
    values, vectors = np.linalg.eigh(design.matrix.T @ design.matrix)
    most = min(most, int((values > 1e-9 * values[-1]).sum()))
    parts = design.matrix @ vectors[:, ::-1][:, :most]
    return Design(tuple(f"component_{at + 1}" for at in range(most)), parts / parts.std(axis=0))


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
        present = numbers[~missing]
        if not np.isfinite(present).all():
            raise ValueError(
                f"covariates: column '{name}' must be finite, found infinity; make it missing"
            )
        middle = np.median(present) if len(present) else 0.0
        return {name: np.where(missing, middle, numbers)} | indicator
    codes, levels = pd.factorize(values)
    counts = dict(zip(map(str, levels), np.bincount(codes[~missing]), strict=True))
    frequent = sorted(counts, key=lambda level: (-counts[level], level))[:MOST_LEVELS]
    code_of = {str(level): code for code, level in enumerate(levels)}
    flags = {f"{name}={level}": (codes == code_of[level]).astype(np.float64) for level in frequent}
    return flags | indicator
