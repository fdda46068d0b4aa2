"""Outcome residuals for the R-loss: outcome less its mean given the customer alone.

The residual is the outcome less its out-of-fold mean over the offers as they were dealt out. An
effect explains it through the offer that was sent less what offers do on average (the R-loss of Nie
& Wager 2021). Rows may count by the inverse of their variance, which uses a table with few events
or a long tail far better than doubly robust scores do: their noise grows with the inverse of the
rarest offer's share. That variance is one of the customer, not of the offer that was sent: else
errors of the means would look like effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BANDS = 10  # groups of like means in which an amount's variance is measured
_LEAST_VARIANCE = 0.1  # of the average one


@dataclass(frozen=True)
class Residuals:
    """Residuals scaled so that a regression on them has unit noise.

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

    def moments(self, effects: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrix of the effects (each (rows, offers)) and their pull towards the residuals.

        Columns are taken around the offers' averages; the gain of a weight vector w, in squared
        standard errors, is 2 w'pull - w'gram w.
        """
        columns = np.column_stack([(self.sent * effect).sum(axis=1) for effect in effects])
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
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    plain: bool = False,
) -> Residuals:
    """Residuals of the rows of an experiment.

    Parameters
    ----------
    outcome, arm, propensity
        (rows,) outcomes, which may be tempered, codes of the offers with the control at 0, and the
        probability with which that offer was sent.
    means
        (rows, 1 + offers) out-of-fold outcome means.
    binary
        Whether the outcome is 0 or 1: its variance is then known from its mean.
    weight
        (rows,) how many customers each row stands for; None: one.
    groups
        (rows,) codes of rows that share their fate; None: every row by itself.
    plain
        Whether all rows have the same variance, so that what is fitted holds for the average
        customer; else each counts by the inverse of its own.
    """
    count = np.ones(len(arm)) if weight is None else weight
    shares = np.bincount(arm, weights=count, minlength=means.shape[1])
    shares = shares / shares.sum()
    sent = (np.eye(len(shares))[arm] - shares)[:, 1:]
    # Where chances differ from row to row, weights make them the same for all.
    information = count * shares[arm] / propensity
    if not plain:
        information = information / _variance(outcome, means, arm, shares, binary)
    left = outcome - means @ shares
    left = _around(sent, left[:, None], information)[:, 0]
    information /= _noise(sent, information * left, groups) / np.maximum(
        ((sent**2) * information[:, None]).sum(), 1e-300
    )
    return Residuals(left, information, sent)


def _noise(sent: np.ndarray, pull: np.ndarray, groups: np.ndarray | None) -> float:
    """Variance of what pulls at the offers' averages, summed; by groups where there are any."""
    total = 0.0
    for column in sent.T:
        summed = column * pull
        if groups is not None:
            summed = np.bincount(groups, weights=summed)
        total += float((summed**2).sum())
    return total


def design_effect(arm: np.ndarray, outcome: np.ndarray, groups: np.ndarray, offers: int) -> float:
    """Design effect of clustered rows (at least 1): how many of them inform as much as one."""
    counts = np.bincount(arm, minlength=offers)
    left = outcome - (np.bincount(arm, weights=outcome, minlength=offers) / counts)[arm]
    sent = (np.eye(offers)[arm] - counts / len(arm))[:, 1:]
    return max(_noise(sent, left, groups) / max(_noise(sent, left, None), 1e-300), 1.0)


def _variance(
    outcome: np.ndarray, means: np.ndarray, arm: np.ndarray, shares: np.ndarray, binary: bool
) -> np.ndarray:
    """Variance of each customer's outcome over the offers as they are dealt out, (rows,)."""
    if binary:
        chances = np.clip(means, 0.0, 1.0)
        variance = (chances * (1.0 - chances)) @ shares
    else:
        left = outcome - means[np.arange(len(arm)), arm]
        variance = np.empty(len(arm))
        for rows in np.array_split(np.argsort(means @ shares, kind="stable"), _BANDS):
            variance[rows] = (left[rows] ** 2).mean()
    return np.asarray(np.maximum(variance, max(_LEAST_VARIANCE * float(variance.mean()), 1e-12)))


def _around(sent: np.ndarray, columns: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Columns less what the offers' averages explain of them."""
    weighted = sent * information[:, None]
    return columns - sent @ np.linalg.solve(sent.T @ weighted, weighted.T @ columns)
