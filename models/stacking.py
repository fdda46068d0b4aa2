"""Weights of the learners and how far their effects are shrunk, from out-of-fold rows alone.

Effects are split into what all offers share and each offer's own part. Each part gets
non-negative weights that minimize the squared distance to the doubly robust scores around every
offer's average, which is always among the candidates: with no heterogeneity the weights go to
zero. A learner joins only if it lowers the loss by more than noise would, and what remains is
shrunk by the positive-part James-Stein rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from .learners import split_effects

_SLOPE_PRIOR_SD = 0.08  # how far the offers' slopes are thought to differ before rows are seen
_STARTING = 4.0  # squared standard errors that a learner must gain where the base has nothing
_JOINING = 4.0  # and that each further one must add
_SHRINKING = 1.5  # taken off the gain in squared standard errors (James-Stein, after a selection)
_SCALE_PRIOR_SD = 0.15  # how far the weights are thought to add up to more than 1
_LEAST_WEIGHT = 0.04  # a smaller share of the greatest weight is not worth its time in scoring


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


def fit_stack(effects: Mapping[str, np.ndarray], scores: np.ndarray, *, first: str) -> Stack:
    """Weights and slopes from out-of-fold effects (rows, offers) and AIPW effect scores.

    `first` names the learner that the others have to improve on.
    """
    names = list(effects)
    place = names.index(first)
    parts = [split_effects(effects[name] - effects[name].mean(axis=0)) for name in names]
    shared_target, own_target = split_effects(scores - scores.mean(axis=0))
    shared_parts = np.stack([part[0] for part in parts])[:, :, None]
    shared = _weights(shared_parts, shared_target[:, None], place)
    own = np.zeros(len(names))
    if scores.shape[1] > 1:
        own = _weights(np.stack([part[1] for part in parts]), own_target, place)
    plain = Stack(
        dict(zip(names, shared.tolist(), strict=True)),
        dict(zip(names, own.tolist(), strict=True)),
        np.ones(scores.shape[1]),
    )
    combined = combine(plain, effects, np.zeros(scores.shape[1]))
    slopes = np.ones(scores.shape[1])
    for offer in range(len(slopes)):
        slope, error = slope_of(scores[:, offer], combined[:, offer])
        if np.isfinite(slope):
            kept = _SLOPE_PRIOR_SD**2 / (_SLOPE_PRIOR_SD**2 + error**2)
            slopes[offer] = np.clip(1.0 + (slope - 1.0) * kept, 0.25, 2.0)
    return Stack(plain.shared, plain.own, slopes)


def _weights(candidates: np.ndarray, target: np.ndarray, first: int) -> np.ndarray:
    """Non-negative weights of candidates (learners, rows, offers) for a target (rows, offers).

    The candidate `first` stands at the start, if it helps at all; others join one by one as long
    as each lowers the loss by more than noise would. Whoever is made superfluous leaves.
    """
    gram = np.einsum("mik,lik->ml", candidates, candidates, optimize=True)
    pull = np.einsum("mik,ik->m", candidates, target, optimize=True)
    power = np.diag(gram)
    weights = np.zeros(len(gram))
    usable = power > 1e-12 * max(float((target**2).sum()), 1e-300)
    strength = np.where(usable, pull / np.sqrt(np.where(usable, power, 1.0)), -1.0)
    best = int(np.argmax(strength))
    if strength[best] <= 0:
        return weights
    along = (candidates[best] * target).sum(axis=1) / np.sqrt(power[best])
    noise = float((along**2).sum())
    chosen = [first] if strength[first] > 0 else []
    gain = _solve(gram, pull, chosen)[1] if chosen else 0.0
    while True:
        trials = [
            (_solve(gram, pull, [*chosen, one])[1], -one)
            for one in np.flatnonzero(usable).tolist()
            if one not in chosen
        ]
        found, one = max(trials, default=(-np.inf, 0))
        if found - gain < (_JOINING if chosen else _STARTING) * noise:
            break
        chosen, gain = [*chosen, -one], found
    for one in list(chosen) if len(chosen) > 1 else []:
        rest = [other for other in chosen if other != one]
        if rest and gain - _solve(gram, pull, rest)[1] < noise:
            chosen, gain = rest, _solve(gram, pull, rest)[1]
    if not chosen:
        return weights
    weights[chosen], gain = _solve(gram, pull, chosen)
    weights[weights < _LEAST_WEIGHT * weights.max()] = 0.0
    kept = max(0.0, 1.0 - _SHRINKING * noise / max(gain, 1e-300))
    total = float(weights.sum())
    if total > 1:  # learners are shrunk already: scaling them up wants evidence
        trusted = _SCALE_PRIOR_SD**2 / (_SCALE_PRIOR_SD**2 + noise / max(gain, 1e-300))
        kept = min(kept, 1.0) * (1.0 + (total - 1.0) * trusted) / total
    return weights * kept


def _solve(gram: np.ndarray, pull: np.ndarray, chosen: list[int]) -> tuple[np.ndarray, float]:
    """Non-negative weights of the chosen candidates and how far they lower the loss."""
    part = gram[np.ix_(chosen, chosen)]
    scale = np.sqrt(np.diag(part))
    root = np.linalg.cholesky(part / np.outer(scale, scale) + 1e-3 * np.eye(len(chosen)))
    solved, _ = nnls(root.T, np.linalg.solve(root, pull[chosen] / scale))
    found = solved / scale
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
