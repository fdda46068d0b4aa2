"""Weights of the learners and how far their effects are shrunk, from out-of-fold rows alone.

Effects are split into what all offers share and each offer's own part. Each part gets
non-negative weights that minimize the squared distance to the doubly robust scores around every
offer's average, which is always among the candidates: with no heterogeneity the weights go to
zero. The remaining slope is shrunk by the positive-part James-Stein rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from .learners import split_effects

_SLOPE_PRIOR_SD = 0.15  # how far the offers' slopes are thought to differ before rows are seen
_LEAST_WEIGHT = 0.04  # a learner that adds less is left out: each one costs time in scoring


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


def fit_stack(effects: Mapping[str, np.ndarray], scores: np.ndarray) -> Stack:
    """Weights and slopes from out-of-fold effects (rows, offers) and AIPW effect scores."""
    names = list(effects)
    parts = [split_effects(effects[name] - effects[name].mean(axis=0)) for name in names]
    shared_target, own_target = split_effects(scores - scores.mean(axis=0))
    shared = _weights(np.stack([part[0] for part in parts])[:, :, None], shared_target[:, None])
    own = np.zeros(len(names))
    if scores.shape[1] > 1:
        own = _weights(np.stack([part[1] for part in parts]), own_target)
    plain = Stack(
        dict(zip(names, shared.tolist(), strict=True)),
        dict(zip(names, own.tolist(), strict=True)),
        np.ones(scores.shape[1]),
    )
    combined = combine(plain, effects, np.zeros(scores.shape[1]))
    slopes = np.ones(scores.shape[1])
    for place in range(len(slopes)):
        slope, error = slope_of(scores[:, place], combined[:, place])
        if np.isfinite(slope):
            kept = _SLOPE_PRIOR_SD**2 / (_SLOPE_PRIOR_SD**2 + error**2)
            slopes[place] = np.clip(1.0 + (slope - 1.0) * kept, 0.25, 2.0)
    return Stack(plain.shared, plain.own, slopes)


def _weights(candidates: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Non-negative weights of candidates (learners, rows, offers) for a target (rows, offers)."""
    gram = np.einsum("mik,lik->ml", candidates, candidates, optimize=True)
    pull = np.einsum("mik,ik->m", candidates, target, optimize=True)
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    usable = np.diag(gram) > 1e-12 * max(float((target**2).sum()), 1e-300)
    weights = np.zeros(len(gram))
    if not usable.any():
        return weights
    kept = np.flatnonzero(usable)
    while len(kept):
        normal = gram[np.ix_(kept, kept)] / np.outer(scale[kept], scale[kept])
        root = np.linalg.cholesky(normal + 0.01 * np.eye(len(kept)))
        solved, _ = nnls(root.T, np.linalg.solve(root, pull[kept] / scale[kept]))
        weights[:] = 0.0
        weights[kept] = solved / scale[kept]
        small = kept[(weights[kept] > 0) & (weights[kept] < _LEAST_WEIGHT)]
        if not len(small):
            break
        kept = np.setdiff1d(kept, small)
    predicted = np.einsum("m,mik->ik", weights, candidates)
    power = float((predicted**2).sum())
    if power <= 0:
        return weights * 0.0
    slope = float((predicted * target).sum()) / power
    residual = ((predicted * (target - slope * predicted)).sum(axis=1) ** 2).sum()
    error = np.sqrt(max(float(residual), 0.0)) / power
    z = slope / max(error, 1e-12)
    return weights * slope * max(0.0, 1.0 - 1.0 / max(z, 1e-6) ** 2)


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
