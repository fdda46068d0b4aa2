"""Weights of the learners and how far their effects are shrunk, from out-of-fold rows alone.

Effects are split into what all offers share and each offer's own part. Each part gets
non-negative weights that explain what the customer alone leaves of the outcome (see `residuals`)
around every offer's average. The first learner has been shrunk already, so it is believed as it
stands until the rows say otherwise: its weight has a prior around 1. The others have one around
0, and join only if they raise the posterior by more than the best of several would by noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from .learners import split_effects
from .residuals import Residuals

_FIRST_PRIOR_SD = 0.7  # of the first learner's weight around 1
_OTHER_PRIOR_SD = 0.5  # of every other weight around 0
_SLOPE_PRIOR_SD = 0.08  # how far the offers' slopes are thought to differ before rows are seen
_JOINING = 9.0  # squared standard errors that each further learner must add
_LEAST_WEIGHT = 0.04  # a smaller weight is not worth its time in scoring


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


def combine(stack: Stack, effects: Mapping[str, np.ndarray], averages: np.ndarray) -> np.ndarray:
    """Stacked effects (rows, offers) around the offers' averages."""
    total = np.zeros_like(next(iter(effects.values())))
    for name in stack.used():
        total += (effects[name] - effects[name].mean(axis=0)) @ stack.learner_weights(name).T
    return averages + total


def fit_stack(effects: Mapping[str, np.ndarray], residuals: Residuals, *, first: str) -> Stack:
    """Weights and slopes from out-of-fold effects (rows, offers).

    `first` names the learner that is believed until the rows say otherwise.
    """
    names = list(effects)
    parts = [split_effects(effects[name] - effects[name].mean(axis=0)) for name in names]
    offers = next(iter(effects.values())).shape[1]
    shared = _weights(
        [np.repeat(part[0][:, None], offers, axis=1) for part in parts],
        residuals,
        names.index(first),
    )
    own = np.zeros(len(names))
    if offers > 1:
        own = _weights([part[1] for part in parts], residuals, names.index(first))
    plain = Stack(
        dict(zip(names, shared.tolist(), strict=True)),
        dict(zip(names, own.tolist(), strict=True)),
        np.ones(offers),
    )
    combined = combine(plain, effects, np.zeros(offers))
    each = [combined * (np.arange(offers) == offer) for offer in range(offers)]
    gram, pull = residuals.moments(each)
    certainty = 1.0 / _SLOPE_PRIOR_SD**2
    slopes = np.linalg.solve(gram + certainty * np.eye(offers), pull + certainty)
    return Stack(plain.shared, plain.own, np.clip(slopes, 0.25, 2.0))


def _weights(candidates: list[np.ndarray], residuals: Residuals, first: int) -> np.ndarray:
    """Non-negative weights of candidate effects (rows, offers), the first of them believed."""
    gram, pull = residuals.moments(candidates)
    usable = np.diag(gram) > 1e-9
    certainty = np.full(len(gram), 1.0 / _OTHER_PRIOR_SD**2)
    certainty[first] = 1.0 / _FIRST_PRIOR_SD**2
    gram = gram + np.diag(certainty)
    pull[first] += certainty[first]
    weights = np.zeros(len(gram))
    chosen = [first] if usable[first] else []
    gain = _solve(gram, pull, chosen)[1]
    while True:
        trials = [
            (_solve(gram, pull, [*chosen, one])[1], -one)
            for one in np.flatnonzero(usable).tolist()
            if one not in chosen
        ]
        found, one = max(trials, default=(-np.inf, 0))
        if found - gain < _JOINING:
            break
        chosen, gain = [*chosen, -one], found
    weights[chosen] = _solve(gram, pull, chosen)[0]
    weights[weights < _LEAST_WEIGHT] = 0.0
    return weights


def _solve(gram: np.ndarray, pull: np.ndarray, chosen: list[int]) -> tuple[np.ndarray, float]:
    """Non-negative weights of the chosen candidates, and twice their gain in log posterior."""
    if not chosen:
        return np.zeros(0), 0.0
    part = gram[np.ix_(chosen, chosen)]
    root = np.linalg.cholesky(part)
    found, _ = nnls(root.T, np.linalg.solve(root, pull[chosen]))
    return found, float(2 * found @ pull[chosen] - found @ part @ found)


def slope_of(score: np.ndarray, effect: np.ndarray) -> tuple[float, float]:
    """Slope of a score on an effect and its standard error (heteroskedastic); NaN if constant."""
    centred = effect - effect.mean()
    power = float((centred**2).sum())
    if power <= 1e-12 * max(1.0, float((effect**2).sum())):
        return float("nan"), float("nan")
    deviation = score - score.mean()
    slope = float((centred * deviation).sum()) / power
    error = float(np.sqrt((centred**2 * (deviation - slope * centred) ** 2).sum())) / power
    return slope, error


def policy_gain(scores: np.ndarray, chosen: np.ndarray, single: int) -> tuple[float, float]:
    """Mean AIPW gain of the chosen offers over one offer for all, and its standard error.

    `scores` is (rows, offers) and `chosen` holds one column per row, chosen without that row.
    """
    difference = scores[np.arange(len(scores)), chosen] - scores[:, single]
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))
