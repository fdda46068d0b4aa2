"""By which effects offers are chosen, and what that gains over the best offer for all.

Gains are told by AIPW scores of out-of-fold rows. The best offer for all was picked for its mean
score, which flatters it; so the means are pooled first, and the scores moved to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.personal_gain import is_evident, pooled_means
from ..intervals import mean_estimate
from .doses import rising_means, smallest_best
from .learners import Experiment
from .residuals import Residuals
from .stacking import Stack, combine, fit_stack


@dataclass(frozen=True)
class Choice:
    """Learners weighed, and what a choice by their effects gains over the best offer for all.

    Attributes
    ----------
    single
        Code of the best offer for all, 0 if that is the control.
    averages
        (offers,) average effects.
    stack
        Weights and slopes.
    effects
        (rows, offers) out-of-fold effects, mean of the repeats.
    gain, gain_se
        The gain and its standard error.
    personalizes
        Whether there is a gain, by tempered outcomes.
    evident
        Whether it lies beyond the noise, too.
    """

    single: int
    averages: np.ndarray
    stack: Stack
    effects: np.ndarray
    gain: float
    gain_se: float
    personalizes: bool
    evident: bool


def choose(
    experiment: Experiment,
    repeats: Sequence[Mapping[str, np.ndarray]],
    starts: Sequence[str],
    *,
    residuals: Residuals,
    plain: Residuals,
    scores: np.ndarray,
    tempered: np.ndarray,
) -> Choice:
    """The first choice whose gain is evident, by weights that start from each learner in turn.

    If none is evident, the one by weights that start from the first of them.

    Parameters
    ----------
    repeats
        Out-of-fold effects (rows, offers) by learner, of each repeat of cross-fitting.
    starts
        Learners that are believed until the rows say otherwise.
    residuals, plain
        What weights and slopes are fitted to, see `fit_stack`.
    scores, tempered
        (rows, 1 + offers) AIPW scores of the outcome, which tell the gain, and of the tempered
        outcome, which tell the averages and whether to personalize.
    """
    means, tempered = pooled_scores(experiment, tempered)
    _, scores = pooled_scores(experiment, scores)
    choices = [
        choice_by(
            fit_stack(repeats, residuals, plain=plain, first=first),
            repeats,
            experiment,
            means=means,
            scores=scores,
            tempered=tempered,
        )
        for first in starts
    ]
    return next((choice for choice in choices if choice.evident), choices[0])


def choice_by(
    stack: Stack,
    repeats: Sequence[Mapping[str, np.ndarray]],
    experiment: Experiment,
    *,
    means: np.ndarray,
    scores: np.ndarray,
    tempered: np.ndarray,
) -> Choice:
    """The choice by the effects of one stack; `means` (1 + offers,) are pooled, scores moved."""
    single = smallest_best(means, experiment.families)
    averages = means[1:] - means[0]
    rows = np.arange(len(scores))
    sent = np.zeros_like(scores)
    combined = [combine(stack, repeat, averages) for repeat in repeats]
    for effects in combined:
        values = np.column_stack([np.zeros(len(effects)), effects])
        sent[rows, values.argmax(axis=1)] += 1.0 / len(combined)
    sent[:, single] -= 1.0
    gain, error = mean_score(experiment, (sent * scores).sum(axis=1))
    personalizes = mean_score(experiment, (sent * tempered).sum(axis=1))[0] > 0
    return Choice(
        single=single,
        averages=averages,
        stack=stack,
        effects=np.mean(combined, axis=0),
        gain=gain,
        gain_se=error,
        personalizes=personalizes,
        evident=personalizes and is_evident(gain, error),
    )


def pooled_scores(experiment: Experiment, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of score columns as other offers and doses make them likely, and scores with these."""
    means, errors = mean_scores(experiment, scores)
    pooled = pooled_means(means, errors)
    for family in experiment.families:
        rising = rising_means(means, errors, family)
        pooled[list(family.codes)] = pooled[0] + rising[1:] - rising[0]
    return pooled, scores + (pooled - means)


def mean_scores(experiment: Experiment, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of score columns (rows, columns) and their standard errors, by group."""
    means, errors = zip(*(mean_score(experiment, column) for column in scores.T), strict=True)
    return np.array(means), np.array(errors)


def mean_score(experiment: Experiment, scores: np.ndarray) -> tuple[float, float]:
    """Weighted mean of scores (rows,) and its standard error, by group."""
    weight = experiment.weight / experiment.weight.mean()
    mean = float(np.average(scores, weights=weight))
    deviation = mean_estimate(weight * (scores - mean), clusters=experiment.groups)
    return mean, deviation.se
