"""Value of a returning customer under every offer.

Three ways compete on held-out returners: a plain regression, one whose noise is a factor (see
`amounts`) and, where the days of second lifetimes are known, months within the horizon (see
`second_lifetime`, which also learns from those still going on) times a monthly margin. The best is
calibrated on them; what an offer adds, on average and by customer, is shrunk as far as these rows
suggest, since few customers return under each offer and money varies widely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.personal_gain import pooled_means
from ..evaluation.survival import MONTH_DAYS
from ..formula.formula import Column, Expression
from ..regression.additive import (
    Basis,
    basis_matrix,
    fit_additive,
    learn_basis,
    offer_coding,
    offer_expressions,
)
from ..regression.amounts import fit_amounts
from .second_lifetime import LEAST_ENDED, fit_second_lifetime

LEAST_RETURNERS = 30
_OWN_WEIGHT, _OWN_ERROR = 0.5, 0.5  # of an offer's own prediction, before returners are seen


@dataclass(frozen=True)
class ValueModel:
    """Expected value given a return, per offer.

    Attributes
    ----------
    expressions
        One per offer, control first, on the encoded columns.
    held_out
        Out-of-fold values (rows, offers).
    way
        'plain', 'amounts' or 'hazard', whichever predicts held-out returners best.
    slope
        Slope of the true on the out-of-fold value, already applied.
    months
        Expected months of a second lifetime within the horizon, one expression per offer; none
        where the hazard is not known. They are told whichever way predicts the value.
    months_held_out
        The same out of fold (rows, offers); NaN where the hazard is not known.
    """

    expressions: tuple[Expression, ...]
    held_out: np.ndarray
    way: str
    slope: float
    months: tuple[Expression, ...]
    months_held_out: np.ndarray


@dataclass(frozen=True)
class Lifetimes:
    """Second lifetimes: days observed and whether they ended, (rows,), NaN where unknown."""

    days: np.ndarray
    ended: np.ndarray
    horizon_days: float

    def known(self) -> np.ndarray:
        """Rows with both numbers known."""
        return np.isfinite(self.days) & np.isfinite(self.ended) & (self.days >= 0)

    def months(self) -> np.ndarray:
        """Months within the horizon, at least half of one."""
        return np.maximum(np.minimum(self.days, self.horizon_days) / MONTH_DAYS, 0.5)


@dataclass(frozen=True)
class Rows:
    """What `fit_value` learns from; see its parameters."""

    basis: tuple[Basis, ...]
    design: np.ndarray
    arm: np.ndarray
    offers: int
    value: np.ndarray
    known: np.ndarray
    returned: np.ndarray
    lifetimes: Lifetimes | None


class _Plain:
    """Value as a plain additive regression."""

    def __init__(self, rows: Rows, train: np.ndarray) -> None:
        used = train & rows.known
        design, arm, value = rows.design[used], rows.arm[used], rows.value[used]
        self.basis = rows.basis
        self.coefficients = fit_additive(
            design, value, arm, offer_coding(rows.offers), family="amount"
        )

    def means(self, design: np.ndarray) -> np.ndarray:
        return design @ self.coefficients.T

    def expressions(self) -> list[Expression]:
        return offer_expressions(self.basis, self.coefficients)


class _Amounts:
    """Value as an amount whose noise is a factor."""

    def __init__(self, rows: Rows, train: np.ndarray) -> None:
        used = train & rows.known
        design, arm, value = rows.design[used], rows.arm[used], rows.value[used]
        self.basis = rows.basis
        self.amounts = fit_amounts(design, value, arm, offer_coding(rows.offers))

    def means(self, design: np.ndarray) -> np.ndarray:
        return self.amounts.means(design)

    def expressions(self) -> list[Expression]:
        return self.amounts.expressions(self.basis)


class _MonthsTimesMargin:
    """Expected months within the horizon times the monthly margin."""

    def __init__(self, rows: Rows, train: np.ndarray, lifetimes: Lifetimes) -> None:
        seen = train & (rows.returned > 0) & lifetimes.known()
        self.basis = rows.basis
        self.lifetime = fit_second_lifetime(
            rows.design[seen],
            rows.arm[seen],
            rows.offers,
            days=lifetimes.days[seen],
            ended=lifetimes.ended[seen],
            horizon_days=lifetimes.horizon_days,
        )
        paid = seen & rows.known
        margin = rows.value[paid] / lifetimes.months()[paid]
        long = lifetimes.months()[paid] >= 1.0
        self.margin = fit_additive(
            rows.design[paid][long],
            margin[long],
            rows.arm[paid][long],
            offer_coding(rows.offers),
            family="amount",
        )

    def means(self, design: np.ndarray) -> np.ndarray:
        return self.lifetime.months(design) * (design @ self.margin.T)

    def months(self) -> tuple[Expression, ...]:
        return tuple(self.lifetime.expressions(self.basis))

    def expressions(self) -> list[Expression]:
        months = self.months()
        margins = offer_expressions(self.basis, self.margin)
        return [["product", *both] for both in zip(months, margins, strict=True)]


def fit_value(
    columns: Sequence[Column],
    matrix: np.ndarray,
    *,
    arm: np.ndarray,
    offers: int,
    returned: np.ndarray,
    value: np.ndarray,
    fold: np.ndarray,
    lifetimes: Lifetimes | None = None,
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
    lifetimes : the second lifetimes, if they are known.

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
    rows = Rows(basis, design, arm, offers, value, known, returned, lifetimes)
    ways = _ways(rows)
    held_out = {way: np.empty((len(matrix), offers)) for way in ways}
    months = np.full((len(matrix), offers), np.nan)
    for fold_number in np.unique(fold):
        test = fold == fold_number
        for way in ways:
            fitted = _fit(rows, ~test, way)
            held_out[way][test] = fitted.means(design[test])
            if isinstance(fitted, _MonthsTimesMargin):
                months[test] = fitted.lifetime.months(design[test])
    judged = np.flatnonzero(known)
    truth, sent = value[judged], arm[judged]
    losses = {way: np.mean((truth - held_out[way][judged, sent]) ** 2) for way in ways}
    way = min(ways, key=lambda name: losses[name])
    line = _calibrate(held_out[way][judged], sent, truth)
    everybody = np.ones(len(matrix), dtype=bool)
    model = _fit(rows, everybody, way)
    hazard = _fit(rows, everybody, "hazard") if "hazard" in ways and way != "hazard" else model
    return ValueModel(
        expressions=tuple(line.expressions(model.expressions())),
        held_out=line.of(held_out[way]),
        way=way,
        slope=line.slope,
        months=hazard.months() if isinstance(hazard, _MonthsTimesMargin) else (),
        months_held_out=months,
    )


def _ways(rows: Rows) -> list[str]:
    ways = ["plain"]
    if (rows.value[rows.known] > 0).all():
        ways.append("amounts")
    if rows.lifetimes is not None:
        seen = (rows.returned > 0) & rows.lifetimes.known()
        ended = seen & (rows.lifetimes.ended > 0)
        ended &= rows.lifetimes.days <= rows.lifetimes.horizon_days
        if ended.sum() >= 2 * LEAST_ENDED and (seen & rows.known).sum() >= 2 * LEAST_RETURNERS:
            ways.append("hazard")
    return ways


def _fit(rows: Rows, train: np.ndarray, way: str) -> _Plain | _Amounts | _MonthsTimesMargin:
    if way == "hazard" and rows.lifetimes is not None:
        return _MonthsTimesMargin(rows, train, rows.lifetimes)
    return _Amounts(rows, train) if way == "amounts" else _Plain(rows, train)


@dataclass(frozen=True)
class _Line:
    """Value from raw predictions: a line in their mean over the offers, and what an offer adds.

    `added` (offers,) holds intercepts, `own` the weight of each offer's own prediction, and `low`
    and `high` the range of a value.
    """

    slope: float
    own: float
    added: np.ndarray
    low: float
    high: float

    def of(self, predicted: np.ndarray) -> np.ndarray:
        """Values (rows, offers) from predictions of that shape."""
        shared = predicted.mean(axis=1, keepdims=True)
        raw = self.added + self.slope * shared + self.own * (predicted - shared)
        return np.clip(raw, self.low, self.high)

    def expressions(self, predicted: Sequence[Expression]) -> list[Expression]:
        """The same as expressions, one per offer."""
        common = (self.slope - self.own) / len(predicted)
        shared = [[common, part] for part in predicted]
        return [
            [
                "clip",
                self.low,
                self.high,
                ["sum", [1.0, ["const", float(constant)]], *shared, [self.own, own]],
            ]
            for constant, own in zip(self.added, predicted, strict=True)
        ]


def _calibrate(predicted: np.ndarray, arm: np.ndarray, value: np.ndarray) -> _Line:
    """Line from out-of-fold predictions (rows, offers) of returners, their offers and values."""
    shared = predicted.mean(axis=1)
    moved = shared - shared.mean()
    power = float((moved**2).sum())
    slope = float((moved * (value - value.mean())).sum()) / power if power > 0 else 0.0
    slope = float(np.clip(slope, 0.0, 1.25))
    left = value - value.mean() - slope * moved
    noise = max(float(left.std()), 1e-12)
    counts = np.bincount(arm, minlength=predicted.shape[1])
    means = np.bincount(arm, weights=left, minlength=len(counts)) / np.maximum(counts, 1)
    average = pooled_means(means, noise / np.sqrt(np.maximum(counts, 0.01)))
    own = predicted - shared[:, None]
    own -= own.mean(axis=0)
    sent = own[np.arange(len(arm)), arm]
    pull = float((sent * (left - average[arm])).sum()) / noise**2
    weight = (pull + _OWN_WEIGHT / _OWN_ERROR**2) / (
        float((sent**2).sum()) / noise**2 + 1.0 / _OWN_ERROR**2
    )
    weight = float(np.clip(weight, 0.0, 1.25))
    raw_own = (predicted - shared[:, None]).mean(axis=0)
    added = value.mean() - slope * shared.mean() + average - weight * raw_own
    low, high = np.quantile(value, [0.001, 0.999])
    return _Line(slope, weight, added, float(low), float(high))
