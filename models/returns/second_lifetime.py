"""Length of the second customer lifetime: a monthly hazard model with right censoring.

The hazard of month t is that of a complementary log-log model, 1 - exp(-b_t exp(score)): a
baseline per month (Breslow) and an additive score of the customer and the offer, fitted by turns
as a Poisson regression of the ends on the cumulative baseline (Prentice & Gloeckler 1978).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.survival import MONTH_DAYS
from ..formula.formula import Expression
from ..regression.additive import Basis, fit_additive, offer_coding, offer_expressions

LEAST_ENDED = 50
_TURNS = 3
_SCORES = np.linspace(-6.0, 4.0, 81)


@dataclass(frozen=True)
class SecondLifetime:
    """A fitted hazard; `cumulative` is the baseline at the end of each month, from month 0."""

    coefficients: np.ndarray
    cumulative: np.ndarray
    horizon_months: float

    def months(self, design: np.ndarray) -> np.ndarray:
        """Expected months within the horizon, (rows, offers)."""
        score = np.clip(design @ self.coefficients.T, _SCORES[0], _SCORES[-1])
        return np.interp(score, _SCORES, self._months_by_score())

    def expressions(self, basis: Sequence[Basis]) -> list[Expression]:
        """The same as expressions, one per offer."""
        xs, ys = _SCORES.tolist(), self._months_by_score().tolist()
        return [["interp", xs, ys, raw] for raw in offer_expressions(basis, self.coefficients)]

    def _months_by_score(self) -> np.ndarray:
        """Area under the survival curve up to the horizon, for a grid of scores."""
        ends = np.append(np.arange(len(self.cumulative) - 1), self.horizon_months)
        survival = np.exp(-np.exp(_SCORES)[:, None] * self.cumulative[None, :])
        return np.asarray(np.trapezoid(survival, ends, axis=1))


def fit_second_lifetime(
    design: np.ndarray,
    arm: np.ndarray,
    offers: int,
    *,
    days: np.ndarray,
    ended: np.ndarray,
    horizon_days: float,
) -> SecondLifetime:
    """Fit the hazard on the customers who returned.

    Parameters
    ----------
    design : (rows, basis), from `additive.basis_matrix`.
    arm : (rows,) codes of the offers.
    offers : number of offers with the control.
    days : (rows,) observed length of the second lifetime.
    ended : (rows,) 1 if it ended then, 0 if it was still going on.
    horizon_days : months are counted up to it.

    Raises
    ------
    ValueError
        If fewer than `LEAST_ENDED` second lifetimes have ended within the horizon.
    """
    horizon = horizon_days / MONTH_DAYS
    months = np.minimum(days / MONTH_DAYS, horizon)
    event = ((ended > 0) & (days / MONTH_DAYS <= horizon)).astype(float)
    if event.sum() < LEAST_ENDED:
        raise ValueError(
            f"second lifetimes: expected at least {LEAST_ENDED} that ended within "
            f"{horizon_days:g} days, found {int(event.sum())}; leave their days out"
        )
    edges = np.append(np.arange(np.ceil(horizon)), horizon)
    score = np.zeros(len(design))
    coefficients = np.zeros((offers, design.shape[1]))
    cumulative = np.zeros(len(edges))
    for _ in range(_TURNS):
        cumulative = _baseline(months, event, np.exp(score), edges)
        exposure = np.maximum(np.interp(months, edges, cumulative), 1e-9)
        coefficients = fit_additive(
            design, event, arm, offer_coding(offers), family="count", exposure=exposure
        )
        score = np.clip((design * coefficients[arm]).sum(axis=1), _SCORES[0], _SCORES[-1])
    return SecondLifetime(coefficients, cumulative, horizon)


def _baseline(
    months: np.ndarray, event: np.ndarray, risk: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """Cumulative baseline hazard at the edges: ends per month over the risk lived in it."""
    steps = np.zeros(len(edges))
    for index in range(1, len(edges)):
        start, stop = edges[index - 1], edges[index]
        lived = np.clip(months - start, 0.0, stop - start)
        ends = event[(months > start) & (months <= stop)].sum()
        if index == 1:
            ends += event[months <= start].sum()
        steps[index] = (stop - start) * ends / max(float((risk * lived).sum()), 1e-9)
    return np.cumsum(steps)
