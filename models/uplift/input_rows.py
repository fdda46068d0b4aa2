"""Checks of the arguments of `OfferUplift.fit`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..propensity import propensity_fault

CONTROL_NAMES = (
    "none",
    "control",
    "control group",
    "no offer",
    "no treatment",
    "no contact",
    "no e mail",
    "no email",
    "no mail",
    "nothing",
    "nobody",
    "untreated",
    "placebo",
    "holdout",
    "hold out",
    "baseline",
    "0",
    "0.0",
    "false",
)
LEAST_ROWS = 50
LEAST_GROUPS = 20


def as_frame(X: pd.DataFrame | np.ndarray) -> pd.DataFrame:
    """X as a frame; the columns of an array are called x0, x1, ...

    Raises
    ------
    ValueError
        If X is neither a frame nor a two-dimensional array, has no column, or two of one name.
    """
    if isinstance(X, pd.DataFrame):
        if not X.columns.is_unique or not len(X.columns):
            raise ValueError(
                "features: X must have columns, each of its own name, found "
                f"{', '.join(map(str, X.columns)) or 'none'}"
            )
        return X
    array = np.asarray(X)
    if array.ndim != 2:
        raise ValueError(
            f"features: X must be a frame or a two-dimensional array, found {array.ndim} "
            "dimensions; reshape it to (rows, columns)"
        )
    return pd.DataFrame(array, columns=[f"x{position}" for position in range(array.shape[1])])


def choose_control(names: np.ndarray, control: str | None) -> str:
    """The control among the names of offers.

    Raises
    ------
    ValueError
        If the control asked for does not occur, or fewer than two offers do.
    """
    offers = sorted(set(names.tolist()))
    if len(offers) < 2:
        raise ValueError(f"offer: expected at least 2 offers, found {offers}; add a control group")
    if control is not None:
        if control not in offers:
            raise ValueError(f"offer: the control '{control}' does not occur, found {offers}")
        return control
    plain = {re.sub(r"[\s_-]+", " ", name).strip().lower(): name for name in reversed(offers)}
    return next((plain[name] for name in CONTROL_NAMES if name in plain), offers[0])


def check_rows(
    frame: pd.DataFrame, y: Any, offer: Any, propensity: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, offer names and the probability of the offer sent, checked."""
    outcome = np.asarray(y, dtype=np.float64)
    sent = np.asarray(offer)
    if absent := int(pd.isna(sent).sum()):
        raise ValueError(
            f"offer: {absent} values are missing; name the control where nothing was sent, "
            "leave out rows whose offer is not known"
        )
    names = sent.astype(str).astype(object)
    for what, values in (("y", outcome), ("offer", names)):
        if values.shape != (len(frame),):
            raise ValueError(
                f"{what}: expected shape ({len(frame)},) like the rows of X, found {values.shape}"
            )
    if not np.isfinite(outcome).all():
        raise ValueError(
            f"y: {int((~np.isfinite(outcome)).sum())} values are missing or infinite; "
            "fit on rows whose outcome is known"
        )
    return outcome, names, sent_propensity(names, propensity, frame.index)


def sent_propensity(names: np.ndarray, propensity: Any, index: pd.Index) -> np.ndarray:
    """Probability of the offer that was sent, (rows,); frequencies where none is given.

    Raises
    ------
    ValueError
        If the shape is wrong, an offer has no column, or a value is not in (0, 1].
    """
    if propensity is None or bool(np.all(pd.isna(propensity))):
        _, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
        return np.asarray((counts / len(names))[codes], dtype=np.float64)
    if isinstance(propensity, pd.DataFrame):
        absent = sorted(set(names.tolist()) - set(map(str, propensity.columns)))
        if absent:
            raise ValueError(f"propensity: no column for the offers {absent}")
        wide = propensity.rename(columns=str)
        columns = wide.columns.get_indexer(pd.Index(names))
        sent = wide.to_numpy(dtype=np.float64)[np.arange(len(names)), columns]
    else:
        sent = np.asarray(propensity, dtype=np.float64)
    if sent.shape != (len(index),):
        raise ValueError(
            f"propensity: expected shape ({len(index)},), the probability of the offer that was "
            f"sent, or a frame with a column per offer; found {sent.shape}"
        )
    if fault := propensity_fault(sent):
        raise ValueError(f"propensity: {fault}")
    return sent


def check_groups(groups: Any, rows: int) -> np.ndarray | None:
    """Codes of the groups, (rows,), in the order of their labels; None where there are none.

    Raises
    ------
    ValueError
        If the shape is wrong, a label is missing, or there are too few groups.
    """
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (rows,):
        raise ValueError(
            f"groups: expected shape ({rows},) like the rows of X, found {labels.shape}"
        )
    if absent := int(pd.isna(labels).sum()):
        raise ValueError(
            f"groups: {absent} labels are missing; give a customer without a group its own id"
        )
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    if len(names) < LEAST_GROUPS:
        raise ValueError(
            f"groups: at least {LEAST_GROUPS} are needed to tell an effect from chance, found "
            f"{len(names)}; leave them out where customers decide by themselves"
        )
    return codes.astype(np.int64)


def check_weight(weight: Any, rows: int) -> np.ndarray:
    """Weights of the rows with mean 1, (rows,).

    Raises
    ------
    ValueError
        If the shape is wrong or a weight is not a positive number.
    """
    if weight is None:
        return np.ones(rows)
    given = np.asarray(weight, dtype=np.float64)
    if given.shape != (rows,):
        raise ValueError(
            f"sample_weight: expected shape ({rows},) like the rows of X, found {given.shape}"
        )
    if not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(
            "sample_weight: every weight must be a positive number; leave out rows that stand "
            "for nobody"
        )
    return np.asarray(given / given.mean())


def check_counts(arm: np.ndarray, arms: Sequence[str]) -> None:
    """Refuse offers with too few rows; `arm` holds codes into `arms`."""
    counts = np.bincount(arm, minlength=len(arms))
    few = [
        f"'{name}' ({count})"
        for name, count in zip(arms, counts, strict=True)
        if count < LEAST_ROWS
    ]
    if few:
        raise ValueError(
            f"offer: at least {LEAST_ROWS} rows per offer are needed, found {', '.join(few)}; "
            "leave such offers out"
        )
