"""Stacking: weights of the learners and shrinkage of their effects, from out-of-fold rows.

Effects are split into what all offers share and each offer's own part. Each part gets non-negative
weights that explain what the customer alone leaves of the outcome (see `residuals`) around every
offer's average. No learner is chosen: the weights are averaged over all subsets of learners by how
likely each is (Hoeting et al. 1999), since a choice between similar learners would depend on the
random folds. The first learner has been shrunk already and is believed as it stands until the rows
say otherwise: its weight has a prior around 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import nnls
from scipy.special import softmax

from .learners import split_effects
from .residuals import Residuals

_FIRST_PRIOR = (1.0, 0.7)  # mean and standard deviation of the first learner's weight
_OTHER_PRIOR = (0.15, 0.6)  # of every other weight
_JOINING = 2.5  # log odds against each further learner
_SLOPE_PRIOR_SD = 0.15  # how far the offers' slopes may be off before rows are seen
_LEAST_WEIGHT = 0.06  # a smaller weight is not worth its time in scoring


@dataclass(frozen=True)
class Stack:
    """Weights of each learner for the shared and the own part, and each offer's slope."""

    shared: dict[str, float]
    own: dict[str, float]
    slopes: np.ndarray

    def learner_weights(self, learner: str) -> np.ndarray:
        """Weight of the learner's effect of offer j (columns) in the effect of offer k (rows)."""
        offers = len(self.slopes)
        mean = np.full((offers, offers), 1.0 / offers)
        mixed = self.shared.get(learner, 0.0) * mean
        if offers > 1:
            mixed = mixed + self.own.get(learner, 0.0) * (np.eye(offers) - mean)
        return self.slopes[:, None] * mixed

    def used(self) -> list[str]:
        """Learners with a weight."""
        return [name for name in self.shared if self.shared[name] > 0 or self.own[name] > 0]


def combine(
    stack: Stack,
    effects: Mapping[str, np.ndarray],
    averages: np.ndarray,
    *,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Stacked effects (rows, offers) around the offers' averages, those of rows of that weight."""
    total = np.zeros_like(next(iter(effects.values())))
    for name in stack.used():
        centre = np.average(effects[name], axis=0, weights=weight)
        total += (effects[name] - centre) @ stack.learner_weights(name).T
    return averages + total


def fit_stack(
    repeats: Sequence[Mapping[str, np.ndarray]],
    residuals: Residuals,
    *,
    plain: Residuals,
    first: str,
) -> Stack:
    """Weights and slopes from out-of-fold effects (rows, offers) of each repeat of cross-fitting.

    Weights are fitted where rows say most (`residuals`), slopes on the average customer (`plain`).
    `first` names the learner that is believed until the rows say otherwise.
    """
    names = list(repeats[0])
    offers = repeats[0][first].shape[1]
    parts = [
        [split_effects(effects[name] - effects[name].mean(axis=0)) for name in names]
        for effects in repeats
    ]
    shared = _weights(
        [[np.repeat(part[0][:, None], offers, axis=1) for part in repeat] for repeat in parts],
        residuals,
        names.index(first),
    )
    own = np.zeros(len(names))
    if offers > 1:
        own_parts = [[part[1] for part in repeat] for repeat in parts]
        own = _weights(own_parts, residuals, names.index(first))
    stack = Stack(
        dict(zip(names, shared.tolist(), strict=True)),
        dict(zip(names, own.tolist(), strict=True)),
        np.ones(offers),
    )
    candidates = []
    for effects in repeats:
        combined = combine(stack, effects, np.zeros(offers))
        candidates.append([combined * (np.arange(offers) == offer) for offer in range(offers)])
    gram, pull = _moments(candidates, plain)
    certainty = 1.0 / _SLOPE_PRIOR_SD**2
    slopes = np.linalg.solve(gram + certainty * np.eye(offers), pull + certainty)
    return Stack(stack.shared, stack.own, np.clip(slopes, 0.25, 2.0))


def _moments(
    repeats: Sequence[Sequence[np.ndarray]], residuals: Residuals
) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix and pull of candidates (rows, offers), averaged over the repeats."""
    moments = [residuals.moments(candidates) for candidates in repeats]
    return np.mean([gram for gram, _ in moments], axis=0), np.mean(
        [pull for _, pull in moments], axis=0
    )


def _weights(
    repeats: Sequence[Sequence[np.ndarray]], residuals: Residuals, first: int
) -> np.ndarray:
    """Non-negative weights of candidate effects, averaged over all subsets of them."""
    gram, pull = _moments(repeats, residuals)
    prior = np.array(
        [_FIRST_PRIOR if candidate == first else _OTHER_PRIOR for candidate in range(len(gram))]
    )
    certainty = 1.0 / prior[:, 1] ** 2
    usable = np.flatnonzero(np.diag(gram) > 1e-9).tolist()
    fixed = [first] if first in usable else []
    others = [candidate for candidate in usable if candidate != first]
    logs, solutions = [], []
    for size in range(len(others) + 1):
        for added in combinations(others, size):
            chosen = [*fixed, *added]
            weights, gain = _solve(gram, pull, prior[:, 0], certainty, chosen)
            logs.append(gain - _JOINING * size)
            solutions.append(weights)
    weights = np.asarray(softmax(logs) @ np.array(solutions))
    weights[weights < _LEAST_WEIGHT] = 0.0
    return weights


def _solve(
    gram: np.ndarray,
    pull: np.ndarray,
    prior: np.ndarray,
    certainty: np.ndarray,
    chosen: list[int],
) -> tuple[np.ndarray, float]:
    """Non-negative weights of the chosen candidates, and the log evidence for these."""
    weights = np.zeros(len(gram))
    if not chosen:
        return weights, 0.0
    sure = certainty[chosen]
    part = gram[np.ix_(chosen, chosen)] + np.diag(sure)
    aim = pull[chosen] + sure * prior[chosen]
    root = np.linalg.cholesky(part)
    solution, _ = nnls(root.T, np.linalg.solve(root, aim))
    weights[chosen] = solution
    fit = 2 * solution @ aim - solution @ part @ solution - (sure * prior[chosen] ** 2).sum()
    space = 2 * np.log(np.diag(root)).sum() - np.log(sure).sum()
    return weights, float(0.5 * (fit - space))


def slope_of(
    score: np.ndarray,
    effect: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """Slope of a score on an effect and its standard error (heteroskedastic, by group).

    NaN if the effect is the same for all.
    """
    count = np.ones(len(score)) if weight is None else weight
    centred = effect - np.average(effect, weights=count)
    power = float((count * centred**2).sum())
    if power <= 1e-12 * max(1.0, float((count * effect**2).sum())):
        return float("nan"), float("nan")
    deviation = score - np.average(score, weights=count)
    slope = float((count * centred * deviation).sum()) / power
    pull = count * centred * (deviation - slope * centred)
    if groups is not None:
        pull = np.bincount(groups, weights=pull)
    return slope, float(np.sqrt((pull**2).sum())) / power
