"""Amounts of money per offer: additive regressions whose noise is a factor.

The larger an amount, the wider it varies, so what is fitted is its logarithm, in which a few large
orders count no more than others. What is additive there are factors: an offer that adds 10 to each
order would have to be told as another factor for every order. So a second form is fitted to the
same logarithms, in which the amount itself is additive (Gauss-Newton from the first form on). It is
taken unless the logarithms are evidently likelier by factors: where both forms fit the levels, sums
tell what an offer adds in fewer coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..formula.formula import Expression
from .additive import Basis, fit_additive, offer_expressions

_STEPS = 2  # of Gauss and Newton; more change next to nothing
_LONGEST = 3.0  # a logarithm further from its mean pulls no harder
_LEAST = 0.1  # of the mean amount: no sum is taken to be smaller
_EVIDENT = 5.0  # log likelihood that factors must have more than sums


@dataclass(frozen=True)
class Amounts:
    """Expected amounts: factors or sums, times what the noise adds to their mean (Duan 1983).

    Attributes
    ----------
    coefficients
        (offers, basis) of the logarithm, or of the amount itself.
    of_logarithms
        Which of the two.
    least, most
        Bounds of a sum, before the noise.
    smear
        Mean of the amounts over the mean of what the coefficients say.
    """

    coefficients: np.ndarray
    of_logarithms: bool
    least: float
    most: float
    smear: float

    def means(self, design: np.ndarray) -> np.ndarray:
        """Expected amounts (rows, offers) of rows of the design."""
        return self.smear * self._typical(design @ self.coefficients.T)

    def of_sent(self, design: np.ndarray, arm: np.ndarray) -> np.ndarray:
        """Expected amounts (rows,) with the offer that each row was sent."""
        return self.smear * self._typical((design * self.coefficients[arm]).sum(axis=1))

    def expressions(self, basis: Sequence[Basis]) -> list[Expression]:
        """The same as an expression per offer."""
        return [
            ["product", ["exp", part], ["const", self.smear]]
            if self.of_logarithms
            else ["product", ["clip", self.least, self.most, part], ["const", self.smear]]
            for part in offer_expressions(basis, self.coefficients)
        ]

    def _typical(self, linear: np.ndarray) -> np.ndarray:
        return np.exp(linear) if self.of_logarithms else np.clip(linear, self.least, self.most)


def fit_amounts(
    design: np.ndarray,
    amount: np.ndarray,
    arm: np.ndarray,
    coding: np.ndarray,
    *,
    weight: np.ndarray | None = None,
) -> Amounts:
    """Expected positive amounts per offer; parameters as those of `additive.fit_additive`."""
    logs = np.log(amount)
    least, most = _LEAST * float(amount.mean()), float(amount.max())
    factors = fit_additive(design, logs, arm, coding, family="amount", weight=weight)
    sums = _fit_sums(
        design,
        logs,
        arm,
        coding,
        start=(design @ factors.T).mean(axis=1),  # without the offers, whose form is still open
        bounds=(least, most),
        weight=weight,
    )
    forms = [Amounts(factors, True, least, most, 1.0), Amounts(sums, False, least, most, 1.0)]
    said = [form.of_sent(design, arm) for form in forms]
    unexplained = [max(float(np.cov(logs - np.log(one), aweights=weight)), 1e-12) for one in said]
    rows = len(logs) if weight is None else float(weight.sum())
    taken = 0 if 0.5 * rows * np.log(unexplained[1] / unexplained[0]) > _EVIDENT else 1
    smear = np.average(amount, weights=weight) / np.average(said[taken], weights=weight)
    return replace(forms[taken], smear=float(smear))


def _fit_sums(
    design: np.ndarray,
    logs: np.ndarray,
    arm: np.ndarray,
    coding: np.ndarray,
    *,
    start: np.ndarray,
    bounds: tuple[float, float],
    weight: np.ndarray | None,
) -> np.ndarray:
    """Coefficients (offers, basis) of amounts, fitted to their logarithms from a `start` of these.

    A step is a regression of the amount said so far and what its logarithm missed, in which each
    row is divided by that amount, so that the noise of all is alike.
    """
    centre = start
    for _ in range(_STEPS):
        left = logs - centre
        left = np.clip(left - np.average(left, weights=weight), -_LONGEST, _LONGEST)
        now = np.clip(np.exp(centre), *bounds)
        scale = now.mean() / now
        target = now * (1.0 + left)
        sums = fit_additive(
            design * scale[:, None], target * scale, arm, coding, family="amount", weight=weight
        )
        centre = np.log(np.clip((design * sums[arm]).sum(axis=1), *bounds))
    return sums
