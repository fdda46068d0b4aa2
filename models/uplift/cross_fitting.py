"""Folds that do not depend on the order of the rows, and what learners say out of fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluation.offpolicy import offer_scores
from .learners import (
    EFFECT_CHECKPOINTS,
    EFFECT_LEARNERS,
    EffectModels,
    Experiment,
    OutcomeModels,
    fit_effect_models,
    fit_outcome_models,
    outcome_learners,
)
from .residuals import Residuals

_ADDITION = 0.5  # squared standard errors that a learner must add in the first fold
_MORE_TREES = 2.0  # squared standard errors that more trees must add

Splits = Sequence[tuple[np.ndarray, np.ndarray]]


def canonical_order(values: np.ndarray, seed: int) -> np.ndarray:
    """Order of rows by a hash of their values alone, so that a shuffled table fits the same."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)
    key = np.full(len(bits), seed * 0x9E3779B97F4A7C15 % 2**64, dtype=np.uint64)
    for place in range(bits.shape[1]):
        key ^= bits[:, place]
        key *= np.uint64(0xFF51AFD7ED558CCD)
        key ^= key >> np.uint64(32)
    return np.argsort(key, kind="stable")


def stratified_folds(
    arm: np.ndarray, outcome: np.ndarray, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Fold of each row: every offer and outcome class is dealt out evenly, after shuffling.

    Equal rows stand together in the canonical order. Dealt out in turn they would make every fold
    a copy of the others, and nothing would be held out.
    """
    fold = np.empty(len(arm), dtype=np.int64)
    dealt = 0
    happened = outcome > 0
    for code in np.unique(arm):
        for state in (False, True):
            rows = rng.permutation(np.flatnonzero((arm == code) & (happened == state)))
            fold[rows] = (np.arange(len(rows)) + dealt) % folds
            dealt += len(rows)
    return fold


def held_out_means(
    experiment: Experiment, splits: Splits, s_trees: int
) -> tuple[dict[str, np.ndarray], list[OutcomeModels]]:
    """Outcome means (rows, offers) of each outcome learner out of fold, and the models of them."""
    learners = outcome_learners(experiment)
    shape = (len(experiment.outcome), experiment.offers)
    means = {name: np.empty(shape) for name in learners}
    fitted = []
    for train, test in splits:
        models = fit_outcome_models(experiment, train, learners=learners, s_trees=s_trees)
        for name in learners:
            means[name][test] = models.means(experiment, name, test)
        fitted.append(models)
    return means, fitted


def held_out_effects(
    experiment: Experiment,
    splits: Splits,
    fitted: Sequence[OutcomeModels],
    shares: dict[str, float],
    residuals: Residuals,
    *,
    beside: np.ndarray | None,
) -> tuple[dict[str, np.ndarray], int]:
    """Effects (rows, offers - 1) of the X and DR learners out of fold, and their trees.

    Means and scores come from outcome models of the same training rows: those of other folds
    have seen the rows that are held out, and would let a learner explain them that explains
    nothing. `shares` weighs the outcome learners. The first fold chooses the number of trees and,
    where the effects `beside` are given, leaves out the learners that add nothing to these.
    """
    shape = (len(experiment.outcome), experiment.offers)
    effects = {name: np.empty((shape[0], shape[1] - 1)) for name in EFFECT_LEARNERS}
    chosen: int | None = None
    for (train, test), models in zip(splits, fitted, strict=True):
        means, scores = np.zeros(shape), np.zeros(shape)
        for name, share in shares.items():
            if share > 0:
                means[train] += share * models.means(experiment, name, train)
        scores[train] = aipw_scores(experiment, train, means[train])
        found = fit_effect_models(
            experiment,
            train,
            learners=list(effects),
            means=means,
            scores=scores,
            trees=chosen or EFFECT_CHECKPOINTS[-1],
        )
        if chosen is None:
            chosen = _choose_trees(experiment, found, test, residuals)
            first = {name: found.effects(experiment, name, test, trees=chosen) for name in effects}
            if beside is not None:
                useful = _additions(beside[test], first, residuals.of(test))
                effects = {name: effects[name] for name in useful}
        for name in effects:
            effects[name][test] = found.effects(experiment, name, test, trees=chosen)
        if not effects:
            break
    return effects, chosen or EFFECT_CHECKPOINTS[0]


def _additions(
    beside: np.ndarray, effects: dict[str, np.ndarray], residuals: Residuals
) -> list[str]:
    """Learners that explain something beside other effects, as far as some rows show."""
    found = []
    for name, effect in effects.items():
        gram, pull = residuals.moments([beside, effect])
        gram += 1e-9 * np.eye(2) * max(float(np.trace(gram)), 1e-300)
        alone = pull[0] * max(pull[0], 0.0) / gram[0, 0]
        weights = np.linalg.solve(gram, pull)
        if weights[1] > 0 and float(weights @ pull) - alone > _ADDITION:
            found.append(name)
    return found


def _choose_trees(
    experiment: Experiment, models: EffectModels, rows: np.ndarray, residuals: Residuals
) -> int:
    """Trees at the checkpoint whose effects explain most; more of them want evidence."""
    part = residuals.of(rows)
    best, most = EFFECT_CHECKPOINTS[0], -np.inf
    for trees in EFFECT_CHECKPOINTS:
        effect = models.effects(experiment, "x", rows, trees=trees)
        gram, pull = part.moments([effect - effect.mean(axis=0)])
        gain = float(pull[0] * abs(pull[0]) / max(gram[0, 0], 1e-12))
        if gain > most + _MORE_TREES:
            best, most = trees, gain
    return best


def aipw_scores(experiment: Experiment, rows: np.ndarray, means: np.ndarray) -> np.ndarray:
    """AIPW scores (rows, offers) of the outcome under every offer, the control first."""
    return offer_scores(
        experiment.arm[rows],
        experiment.outcome[rows],
        experiment.propensity[rows],
        offers=[str(arm) for arm in range(experiment.offers)],
        predictions=means,
    )


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
