"""By which effects offers are chosen, and what that gains over the best offer for all.

Gains are told by AIPW scores of out-of-fold rows. The best offer for all was picked for its mean
score, which flatters it; so the means are pooled first, and the scores moved to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.personal_gain import is_evident, is_likely, pooled_means
from ..intervals import mean_estimate
from .doses import rising_means, smallest_best
from .learners import Experiment
from .stacking import Stack, combine


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
        Whether a gain is likely, by tempered outcomes.
    evident
        Whether the mean gain by all stacks lies beyond the noise, too.
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
    stacks: Sequence[Stack],
    repeats: Sequence[Mapping[str, np.ndarray]],
    experiment: Experiment,
    *,
    scores: np.ndarray,
    tempered: np.ndarray,
) -> Choice:
    """The choice by the first stack, or by the last if only with that one a gain is evident.

    Two tests, of either stack, could claim a gain in nothing up to twice as often as one. So there
    is one test, of the mean gain of all stacks, which varies less than that of each.

    Parameters
    ----------
    repeats
        Out-of-fold effects (rows, offers) by learner, of each repeat of cross-fitting.
    scores, tempered
        (rows, 1 + offers) AIPW scores of the outcome, which tell the gain, and of the tempered
        outcome, which tell the averages and whether to personalize.
    """
    weight, units = experiment.weight, experiment.units
    means, tempered = pooled_scores(experiment, tempered)
    _, scores = pooled_scores(experiment, scores)
    single = smallest_best(means, experiment.families)
    averages = means[1:] - means[0]
    effects = [
        [combine(stack, repeat, averages, weight=weight) for repeat in repeats] for stack in stacks
    ]
    moves = [moved(found, single) for found in effects]
    gained = [(move * scores).sum(axis=1) for move in moves]
    evident = is_evident(*mean_score(experiment, np.mean(gained, axis=0)), units)
    by_first = is_evident(*mean_score(experiment, gained[0]), units)
    taken = -1 if evident and not by_first else 0
    gain, error = mean_score(experiment, gained[taken])
    by_tempered = mean_score(experiment, (moves[taken] * tempered).sum(axis=1))
    personalizes = is_likely(*by_tempered, units)
    return Choice(
        single=single,
        averages=averages,
        stack=stacks[taken],
        effects=np.mean(effects[taken], axis=0),
        gain=gain,
        gain_se=error,
        personalizes=personalizes,
        evident=personalizes and evident,
    )


def moved(repeats: Sequence[np.ndarray], single: int) -> np.ndarray:
    """How much likelier each offer is (rows, 1 + offers) than if all were sent the single one.

    Each of the repeats, effects (rows, offers), sends the offer of the greatest effect.
    """
    rows = np.arange(len(repeats[0]))
    sent = np.zeros((len(rows), 1 + repeats[0].shape[1]))
    for effects in repeats:
        values = np.column_stack([np.zeros(len(rows)), effects])
        sent[rows, values.argmax(axis=1)] += 1.0 / len(repeats)
    sent[:, single] -= 1.0
    return sent


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
