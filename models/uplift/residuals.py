"""What is left of an outcome once the customer alone is accounted for: effects must explain it.

The residual is the outcome less its out-of-fold mean over the offers as they were dealt out. An
effect explains it through the offer that was sent less what offers do on average (the R-loss of
Nie & Wager 2021). Each row counts by the inverse of its variance, so that a table with few
events, unequal offers or a long tail says as much as it can: far more than doubly robust scores
do, whose noise grows with the inverse of the rarest offer's share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BANDS = 10  # groups of like means in which an amount's variance is measured
_LEAST_VARIANCE = 0.1  # of the average one


@dataclass(frozen=True)
class Residuals:
    """Residuals in units in which a regression on them has unit noise.

    Attributes
    ----------
    left
        (rows,) residual outcomes around the offers' averages.
    information
        (rows,) inverse variances.
    sent
        (rows, offers) whether each offer was sent, less how often it is; the control left out.
    """

    left: np.ndarray
    information: np.ndarray
    sent: np.ndarray

    def of(self, rows: np.ndarray) -> Residuals:
        """Those of some rows."""
        return Residuals(self.left[rows], self.information[rows], self.sent[rows])

    def moments(self, effects: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrix of the effects (each (rows, offers)) and their pull towards the residuals.

        Columns are taken around the offers' averages; the gain of a weight vector w, in squared
        standard errors, is 2 w'pull - w'gram w.
        """
        columns = np.column_stack([(self.sent * one).sum(axis=1) for one in effects])
        columns = _around(self.sent, columns, self.information)
        weighted = columns * self.information[:, None]
        return columns.T @ weighted, weighted.T @ self.left


def residuals_of(
    outcome: np.ndarray,
    arm: np.ndarray,
    propensity: np.ndarray,
    means: np.ndarray,
    *,
    binary: bool,
) -> Residuals:
    """Residuals of an experiment.

    Parameters
    ----------
    outcome, arm, propensity
        (rows,) outcomes, codes of the offers with the control at 0, and the probability with
        which that offer was sent.
    means
        (rows, 1 + offers) out-of-fold outcome means.
    binary
        Whether the outcome is 0 or 1: its variance is then known from its mean.
    """
    rows = np.arange(len(arm))
    shares = np.bincount(arm, minlength=means.shape[1]) / len(arm)
    sent = np.eye(len(shares))[arm] - shares
    # Where chances differ from row to row, weights make them the same for all.
    information = shares[arm] / propensity / _variance(outcome, means[rows, arm], binary=binary)
    left = outcome - means @ shares
    left = _around(sent[:, 1:], left[:, None], information)[:, 0]
    information /= (information**2 * left**2).mean() / information.mean()
    return Residuals(left, information, sent[:, 1:])


def _variance(outcome: np.ndarray, mean: np.ndarray, *, binary: bool) -> np.ndarray:
    """Variance of each outcome around its mean, (rows,)."""
    if binary:
        found = np.clip(mean, 0.0, 1.0) * (1.0 - np.clip(mean, 0.0, 1.0))
    else:
        found = np.empty(len(mean))
        for rows in np.array_split(np.argsort(mean, kind="stable"), _BANDS):
            found[rows] = ((outcome[rows] - mean[rows]) ** 2).mean()
    return np.maximum(found, max(_LEAST_VARIANCE * float(found.mean()), 1e-12))


def _around(sent: np.ndarray, columns: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Columns less what the offers' averages explain of them."""
    weighted = sent * information[:, None]
    return columns - sent @ np.linalg.solve(sent.T @ weighted, weighted.T @ columns)
