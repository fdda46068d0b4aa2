"""Cross-fitting: folds that do not depend on the row order, and out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..evaluation.offpolicy import offer_scores
from .learners import S_ROUNDS, X_SHAPES, Experiment, fit_models


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of the learners for rows that they were not fitted on.

    Attributes
    ----------
    means
        Outcome means (rows, offers) by outcome learner.
    effects
        Effects (rows, offers - 1) by learner.
    outcome
        (rows,) tempered outcomes, see `Models.tempered`.
    """

    means: dict[str, np.ndarray]
    effects: dict[str, np.ndarray]
    outcome: np.ndarray


def canonical_order(values: np.ndarray, seed: int) -> np.ndarray:
    """Order of rows by a hash of their values alone, so that a shuffled table fits the same."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)
    key = np.full(len(bits), seed * 0x9E3779B97F4A7C15 % 2**64, dtype=np.uint64)
    for column in range(bits.shape[1]):
        key ^= bits[:, column]
        key *= np.uint64(0xFF51AFD7ED558CCD)
        key ^= key >> np.uint64(32)
    return np.argsort(key, kind="stable")


def stratified_folds(
    arm: np.ndarray,
    outcome: np.ndarray,
    folds: int,
    rng: np.random.Generator,
    *,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Fold of each row: every offer and outcome class is dealt out evenly, after shuffling.

    Equal rows stand together in the canonical order. Dealt out in turn they would make every fold
    a copy of the others, and nothing would be held out. Rows of one of the `groups` (codes) stay
    together; a group is dealt out by the offer and outcome class of its first row.
    """
    if groups is not None:
        _, first, member = np.unique(groups, return_index=True, return_inverse=True)
        return stratified_folds(arm[first], outcome[first], folds, rng)[member]
    fold = np.empty(len(arm), dtype=np.int64)
    dealt = 0
    happened = outcome > 0
    for code in np.unique(arm):
        for state in (False, True):
            rows = rng.permutation(np.flatnonzero((arm == code) & (happened == state)))
            fold[rows] = (np.arange(len(rows)) + dealt) % folds
            dealt += len(rows)
    return fold


def out_of_fold(experiment: Experiment, fold: np.ndarray, learners: Sequence[str]) -> OutOfFold:
    """The named learners (and the base of them all) on every row, fitted on the other folds."""
    rows, offers = len(experiment.outcome), experiment.offers
    outcome = np.empty(rows)
    means = {
        name: np.empty((rows, offers))
        for name in {experiment.base: 0, **dict.fromkeys(learners)}
        if name not in X_SHAPES
    }
    effects = {name: np.empty((rows, offers - 1)) for name in learners}
    for number in np.unique(fold):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        models = fit_models(experiment, train, learners=learners)
        outcome[test] = models.tempered(experiment, test)
        for name, found in models.means(experiment, list(means), test).items():
            means[name][test] = found
        imputed = [name for name in effects if name in X_SHAPES]
        for name, found in models.effects(experiment, imputed, test).items():
            effects[name][test] = found
    effects |= {name: means[name][:, 1:] - means[name][:, :1] for name in effects if name in means}
    return OutOfFold(means, effects, outcome)


def aipw_scores(experiment: Experiment, outcome: np.ndarray, means: np.ndarray) -> np.ndarray:
    """AIPW scores (rows, offers) of an outcome under every offer, the control first."""
    return offer_scores(
        experiment.arm,
        outcome,
        experiment.propensity,
        offers=[str(arm) for arm in range(experiment.offers)],
        predictions=means,
    )


def shares_of_means(
    means: Mapping[str, np.ndarray], experiment: Experiment, outcome: np.ndarray
) -> dict[str, float]:
    """Shares of the base and the S-learners in the outcome means, by error on held-out rows."""
    base = experiment.base
    sizes = [base, *(name for name in S_ROUNDS if name in means)]
    options = [{name: 1.0} for name in sizes]
    options += [{size: 0.5, next_size: 0.5} for size, next_size in pairwise(sizes)]
    rows, weight = np.arange(len(outcome)), experiment.weight / experiment.propensity

    def loss(shares: Mapping[str, float]) -> float:
        mean = sum(share * means[name][rows, experiment.arm] for name, share in shares.items())
        return float(np.sum(weight * (outcome - mean) ** 2))

    return min(options, key=loss)
