"""Folds that do not depend on the order of the rows, and what learners say out of fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .learners import (
    EFFECT_LEARNERS,
    Experiment,
    fit_effect_models,
    fit_outcome_models,
    outcome_learners,
)

Splits = Sequence[tuple[np.ndarray, np.ndarray]]


def canonical_order(values: np.ndarray, seed: int) -> np.ndarray:
    """Order of rows by a hash of their values alone, so that a shuffled table fits the same."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)
    key = np.full(len(bits), np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15), dtype=np.uint64)
    for place in range(bits.shape[1]):
        key ^= bits[:, place]
        key *= np.uint64(0xFF51AFD7ED558CCD)
        key ^= key >> np.uint64(32)
    return np.argsort(key, kind="stable")


def stratified_folds(arm: np.ndarray, outcome: np.ndarray, folds: int) -> np.ndarray:
    """Fold of each row: every offer and outcome class is dealt out evenly, in row order."""
    fold = np.empty(len(arm), dtype=np.int64)
    dealt = 0
    happened = outcome > 0
    for code in np.unique(arm):
        for state in (False, True):
            rows = np.flatnonzero((arm == code) & (happened == state))
            fold[rows] = (np.arange(len(rows)) + dealt) % folds
            dealt += len(rows)
    return fold


def held_out_means(experiment: Experiment, splits: Splits, s_trees: int) -> dict[str, np.ndarray]:
    """Outcome means (rows, offers) of each outcome learner, out of fold."""
    learners = outcome_learners(experiment)
    shape = (len(experiment.outcome), experiment.offers)
    means = {name: np.empty(shape) for name in learners}
    for train, test in splits:
        models = fit_outcome_models(experiment, train, learners=learners, s_trees=s_trees)
        for name in learners:
            means[name][test] = models.means(experiment, name, test)
    return means


def held_out_effects(
    experiment: Experiment,
    splits: Splits,
    means: np.ndarray,
    scores: np.ndarray,
) -> dict[str, np.ndarray]:
    """Effects (rows, offers - 1) of the X and DR learners, out of fold.

    `means` and `scores` are the cross-fitted ones that all learners share.
    """
    effects = {name: np.empty((len(means), experiment.offers - 1)) for name in EFFECT_LEARNERS}
    for train, test in splits:
        models = fit_effect_models(
            experiment, train, learners=EFFECT_LEARNERS, means=means, scores=scores
        )
        for name in EFFECT_LEARNERS:
            effects[name][test] = models.effects(experiment, name, test)
    return effects


def blend_of_means(means: dict[str, np.ndarray], experiment: Experiment, base: str) -> float:
    """Share of the S-learner in the outcome means, by weighted squared error of held-out rows."""
    rows, weight = np.arange(len(experiment.outcome)), 1.0 / experiment.propensity
    boosted = means["s"][rows, experiment.arm]
    plain = means[base][rows, experiment.arm]
    shares = np.linspace(0.0, 1.0, 5)
    losses = [
        float(np.sum(weight * (experiment.outcome - share * boosted - (1 - share) * plain) ** 2))
        for share in shares
    ]
    return float(shares[int(np.argmin(losses))])
