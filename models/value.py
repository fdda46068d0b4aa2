"""What a customer who comes back is worth the second time, under every offer.

The value is a regression on those who returned, with an effect of the offer that is shared and
shrunk like the effects on return. Its scale (plain or logarithmic with a smearing factor, Duan
1983) is the one with the smaller squared error on held-out returners, on whom the result is then
calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .additive import additive_expression, basis_matrix, fit_additive, learn_basis, offer_coding
from .formula import Column, Expression

LEAST_RETURNERS = 30


@dataclass(frozen=True)
class ValueModel:
    """Expected value given return.

    Attributes
    ----------
    expressions
        One per offer, control first, on the encoded columns.
    held_out
        Out-of-fold values (rows, offers).
    scale
        'plain' or 'log', whichever predicts held-out returners better.
    slope
        Slope of the true on the out-of-fold value, already applied.
    """

    expressions: tuple[Expression, ...]
    held_out: np.ndarray
    scale: str
    slope: float


def fit_value(
    columns: Sequence[Column],
    matrix: np.ndarray,
    *,
    arm: np.ndarray,
    offers: int,
    returned: np.ndarray,
    value: np.ndarray,
    fold: np.ndarray,
) -> ValueModel:
    """Fit E[value | returned, row, offer].

    Parameters
    ----------
    columns, matrix : encoded columns (rows, columns), see `formula.encode`.
    arm : (rows,) codes of the offers, the control 0.
    offers : number of offers with the control.
    returned : (rows,) 0/1.
    value : (rows,) in currency units; read where returned is 1, NaN elsewhere or if unknown.
    fold : (rows,) fold of every row.

    Raises
    ------
    ValueError
        If fewer than `LEAST_RETURNERS` returned rows have a value.
    """
    known = (returned > 0) & np.isfinite(value)
    if known.sum() < LEAST_RETURNERS:
        raise ValueError(
            f"value: expected at least {LEAST_RETURNERS} returned rows with a value, found "
            f"{int(known.sum())}; leave value out"
        )
    basis = learn_basis(columns, matrix[known])
    design = basis_matrix(basis, matrix)
    scales = ("plain", "log") if (value[known] > 0).all() else ("plain",)
    held_out = {scale: np.empty((len(matrix), offers)) for scale in scales}
    for one in np.unique(fold):
        train, test = known & (fold != one), fold == one
        for scale in scales:
            coefficients, smear = _fit(design[train], value[train], arm[train], offers, scale)
            held_out[scale][test] = _means(design[test], coefficients, smear, scale)
    rows = np.flatnonzero(known)
    losses = {
        scale: float(np.mean((value[rows] - held_out[scale][rows, arm[rows]]) ** 2))
        for scale in scales
    }
    scale = min(scales, key=lambda name: losses[name])
    centre, slope, low, high = _calibrate(held_out[scale][rows, arm[rows]], value[rows])
    coefficients, smear = _fit(design[rows], value[rows], arm[rows], offers, scale)
    expressions = []
    for one_offer in coefficients:
        raw = additive_expression(basis, one_offer)
        if scale == "log":
            raw = ["product", ["const", smear], ["exp", raw]]
        line: Expression = ["sum", [1.0 - slope, ["const", centre]], [slope, raw]]
        expressions.append(["clip", low, high, line])
    calibrated = np.clip(centre + slope * (held_out[scale] - centre), low, high)
    return ValueModel(tuple(expressions), calibrated, scale, slope)


def _fit(
    design: np.ndarray, value: np.ndarray, arm: np.ndarray, offers: int, scale: str
) -> tuple[np.ndarray, float]:
    target = np.log(value) if scale == "log" else value
    coefficients = fit_additive(design, target, arm, offer_coding(offers), binary=False)
    if scale == "plain":
        return coefficients, 1.0
    predicted = np.exp((design * coefficients[arm]).sum(axis=1))
    return coefficients, float(value.sum() / predicted.sum())


def _means(design: np.ndarray, coefficients: np.ndarray, smear: float, scale: str) -> np.ndarray:
    linear = design @ coefficients.T
    return smear * np.exp(linear) if scale == "log" else linear


def _calibrate(predicted: np.ndarray, value: np.ndarray) -> tuple[float, float, float, float]:
    """Centre and slope of the truth on the prediction, and the range that predictions may take."""
    centre = float(value.mean())
    moved = predicted - predicted.mean()
    power = float((moved**2).sum())
    slope = float((moved * (value - centre)).sum()) / power if power > 0 else 0.0
    low, high = np.quantile(value, [0.001, 0.999])
    return centre, float(np.clip(slope, 0.0, 1.25)), float(low), float(high)
