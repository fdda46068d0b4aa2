"""A smooth additive regression with coefficients per offer, shrunk by empirical Bayes.

Each numeric column enters through its normal score, its square and its cube, each category
through its levels. The coefficients of the offers are a common part, an effect that all offers
share and a deviation of each offer. The coefficients of each part are shrunk as normal means with
a scale mixture as their prior, learned from all of them (adaptive shrinkage, Stephens 2017): where
an experiment has no heterogeneity the effect parts shrink to nothing, where few columns matter
only these are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats
from scipy.linalg import lapack

from ..formula.formula import Column, Expression

Family = Literal["binary", "count", "amount"]

_PROBABILITIES = np.array([0.005, 0.02, 0.05, *np.arange(0.1, 0.95, 0.1), 0.95, 0.98, 0.995])
_FLAT = 1e-6  # prior precision of an intercept
_SCALES = np.array([0.003, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3])
_NULL_WEIGHT = 4.0  # pseudo-coefficients of no effect
_LEVEL_SCALE = 0.45  # a level's indicator is scaled like a balanced one: rare levels shrink more
_NOTHING = 0.002  # a coefficient this small, on the link scale, is not worth its time in scoring
_LONGEST = 3.0  # in log odds
_SETTLED = 0.02  # a step this small, in squared standard errors per coefficient, is the last
MOST_LEVELS = 30  # indicators of one column, for its most frequent levels
_WIDE = 160  # above this many basis functions the curved ones are left out


@dataclass(frozen=True)
class Basis:
    """One basis function: a piecewise linear map of an encoded column."""

    position: int
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    missing: float


def learn_basis(columns: Sequence[Column], matrix: np.ndarray) -> tuple[Basis, ...]:
    """Basis functions of the encoded columns (rows, columns): centred, about unit scale."""
    plain: list[Basis] = []
    curved: list[Basis] = []
    for position, column in enumerate(columns):
        values = matrix[:, position]
        present = values[~np.isnan(values)]
        missing_share = 1.0 - len(present) / max(len(values), 1)
        if column.levels is not None:
            plain += _level_basis(position, len(column.levels), values)
        elif len(present) and present.min() < present.max():
            first, *rest = _number_basis(position, present)
            plain.append(first)
            curved += rest
        else:
            continue
        if 0.005 < missing_share < 0.995:
            low, high = -missing_share / _LEVEL_SCALE, (1 - missing_share) / _LEVEL_SCALE
            plain.append(Basis(position, (0.0, 1.0), (low, low), high))
    return tuple(plain + (curved if len(plain) + len(curved) <= _WIDE else []))


def _level_basis(position: int, levels: int, values: np.ndarray) -> list[Basis]:
    basis = []
    counts = np.bincount(values[~np.isnan(values)].astype(int), minlength=levels)
    frequent = np.sort(np.argsort(-counts, kind="stable")[:MOST_LEVELS])
    for code in frequent.tolist():
        share = float(counts[code] / len(values))
        if counts[code] < 30 or share > 0.998:
            continue
        ys = np.full(max(levels, 2), -share / _LEVEL_SCALE)
        ys[code] = (1 - share) / _LEVEL_SCALE
        basis.append(Basis(position, tuple(map(float, range(len(ys)))), tuple(ys.tolist()), 0.0))
    return basis


def _number_basis(position: int, present: np.ndarray) -> list[Basis]:
    """Normal score, its square and its cube, each orthogonal to those before."""
    ordered = np.sort(present)
    knots = np.unique(np.quantile(ordered, _PROBABILITIES, method="nearest"))
    if len(knots) < 2:
        knots = np.unique([ordered[0], knots[0], ordered[-1]])
    rank = (np.searchsorted(ordered, knots, "left") + np.searchsorted(ordered, knots, "right")) / 2
    score = stats.norm.ppf(np.clip(rank / len(ordered), 0.002, 0.998))
    values = np.interp(present, knots, score)
    powers = [np.ones_like(values)]
    at_knots = [np.ones_like(score)]
    for degree in range(1, 4 if len(knots) >= 6 else 2):
        power, at = values**degree, score**degree
        for earlier, earlier_at in zip(powers, at_knots, strict=True):
            slope = float(np.mean(power * earlier))
            power, at = power - slope * earlier, at - slope * earlier_at
        scale = max(float(power.std()), 1e-9)
        powers.append(power / scale)
        at_knots.append(at / scale)
    xs = tuple(knots.tolist())
    return [Basis(position, xs, tuple(at.tolist()), 0.0) for at in at_knots[1:]]


def basis_matrix(basis: Sequence[Basis], matrix: np.ndarray) -> np.ndarray:
    """Intercept and basis functions of encoded rows, (rows, 1 + len(basis))."""
    design = np.ones((len(matrix), 1 + len(basis)))
    for column, function in enumerate(basis, start=1):
        values = matrix[:, function.position]
        design[:, column] = np.where(
            np.isnan(values), function.missing, np.interp(values, function.xs, function.ys)
        )
    return design


def additive_expression(basis: Sequence[Basis], coefficients: np.ndarray) -> Expression:
    """Coefficients (1 + len(basis),) as an expression with one term per raw column."""
    terms: dict[int, list[tuple[float, Basis]]] = {}
    for weight, function in zip(coefficients[1:].tolist(), basis, strict=True):
        if weight:
            terms.setdefault(function.position, []).append((weight, function))
    merged: list[list[object]] = []
    for position, parts in sorted(terms.items()):
        xs = np.unique(np.concatenate([function.xs for _, function in parts]))
        ys = sum(weight * np.interp(xs, function.xs, function.ys) for weight, function in parts)
        missing = sum(weight * function.missing for weight, function in parts)
        merged.append([position, xs.tolist(), np.asarray(ys).tolist(), float(missing)])
    return ["additive", float(coefficients[0]), merged]


def offer_expressions(basis: Sequence[Basis], coefficients: np.ndarray) -> list[Expression]:
    """Coefficients per offer (offers, 1 + len(basis)) as those of the first and what others add.

    What an offer adds touches few columns, so that the expressions are cheap once the first is
    shared (see `sharing`).
    """
    first = additive_expression(basis, coefficients[0])
    expressions = [first]
    for own in coefficients[1:]:
        expressions.append(
            ["sum", [1.0, first], [1.0, additive_expression(basis, own - coefficients[0])]]
        )
    return expressions


def offer_coding(offers: int) -> np.ndarray:
    """Parts (columns) of each offer's coefficients (rows, the control first).

    The parts are the common coefficients, the effect that all offers share and, where there is
    more than one offer, each one's deviation.
    """
    shared = np.full((offers, 1), 0.5)
    shared[0] = -0.5
    own = np.eye(offers)[:, 1:] if offers > 2 else np.empty((offers, 0))
    return np.hstack([np.ones((offers, 1)), shared, own])


def fit_additive(
    design: np.ndarray,
    outcome: np.ndarray,
    arm: np.ndarray,
    coding: np.ndarray,
    *,
    family: Family,
    exposure: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients per offer, (offers, basis), on the link scale of the family.

    Parameters
    ----------
    design : (rows, basis), from `basis_matrix`.
    outcome : (rows,), on its own scale.
    arm : (rows,) codes into the rows of `coding`.
    coding : (offers, parts), from `offer_coding`; [[1]] for one plain regression.
    family : 'binary' (logistic), 'count' (Poisson, logarithmic) or 'amount' (least squares).
    exposure : (rows,) expected counts at a linear predictor of 0; of 'count' only.
    weight : (rows,) how many rows each row stands for; None: one.
    """
    mean = float(np.average(outcome, weights=weight))
    spread = float(np.average((outcome - mean) ** 2, weights=weight)) ** 0.5
    scale = max(spread, 1e-12) if family == "amount" else 1.0
    rows = [np.flatnonzero(arm == code) for code in range(len(coding))]
    designs = [design[members] for members in rows]
    targets = [outcome[members] / scale for members in rows]
    shares = [np.ones(len(members)) if exposure is None else exposure[members] for members in rows]
    counts = [np.ones(len(members)) if weight is None else weight[members] for members in rows]
    theta = np.zeros((coding.shape[1], design.shape[1]))
    if family == "binary":
        theta[0, 0] = np.log(np.clip(mean, 1e-6, 1 - 1e-6) / np.clip(1 - mean, 1e-6, 1))
    if family == "count":
        theta[0, 0] = np.log(max(mean, 1e-6) / max(float(np.mean(np.concatenate(shares))), 1e-12))
    plain = (
        [block.T @ (block * count[:, None]) for block, count in zip(designs, counts, strict=True)]
        if family == "amount"
        else []
    )
    precision = np.full(theta.shape, 10.0)
    for step in range(4 if family == "amount" else 20):
        before = theta
        grams, pulls = [], []
        for code, (block, target, part) in enumerate(zip(designs, targets, coding, strict=True)):
            linear = block @ (part @ theta) if step else np.full(len(target), (part @ theta)[0])
            if family == "amount":
                noise = _noise(target, linear if step else None, counts[code])
                gram, pull = plain[code] / noise, block.T @ (counts[code] * target) / noise
            else:
                gram, pull = _quadratic(block, target, linear, family, shares[code], counts[code])
            grams.append(gram)
            pulls.append(pull)
        theta, precision = _posterior(np.stack(grams), np.stack(pulls), coding, precision)
        if family != "amount":
            theta = before + _bounded_step(theta - before, designs, coding)
        moved = coding @ (theta - before)
        if np.einsum("ki,kij,kj->", moved, np.stack(grams), moved) < _SETTLED * design.shape[1]:
            break
    theta[:, 1:][np.abs(theta[:, 1:]) < _NOTHING] = 0.0
    return coding @ theta * scale


def _bounded_step(
    step: np.ndarray, designs: Sequence[np.ndarray], coding: np.ndarray
) -> np.ndarray:
    """The step, shortened so that no row's log odds move by more than `_LONGEST`.

    Newton's full steps diverge where events are rare.
    """
    longest = max(
        float(np.abs(design @ (part @ step)).max(initial=0.0))
        for design, part in zip(designs, coding, strict=True)
    )
    return step * min(1.0, _LONGEST / max(longest, 1e-12))


def _noise(target: np.ndarray, linear: np.ndarray | None, count: np.ndarray) -> float:
    """Variance around the prediction, or around the mean where there is none yet."""
    if not len(target):
        return 1.0
    around = np.average(target, weights=count) if linear is None else linear
    return max(float(np.average((target - around) ** 2, weights=count)), 1e-9)


def _quadratic(
    design: np.ndarray,
    target: np.ndarray,
    linear: np.ndarray,
    family: Family,
    share: np.ndarray,
    count: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix and pull of the log likelihood's quadratic approximation at `linear`."""
    if family == "binary":
        mean = 1.0 / (1.0 + np.exp(-np.clip(linear, -30, 30)))
        weight = np.maximum(mean * (1 - mean), 1e-5)
    else:
        mean = share * np.exp(np.clip(linear, -30, 30))
        weight = np.maximum(mean, 1e-5)
    weighted = design * (count * weight)[:, None]
    return weighted.T @ design, weighted.T @ linear + design.T @ (count * (target - mean))


def _posterior(
    grams: np.ndarray, pulls: np.ndarray, coding: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean (parts, basis) and prior precisions, by fixed point."""
    parts, width = precision.shape
    hessian = np.einsum("ka,kb,kij->aibj", coding, coding, grams, optimize=True)
    hessian = hessian.reshape(parts * width, parts * width)
    pull = (coding.T @ pulls).reshape(-1)
    flat = [_FLAT, _FLAT, *[1e-3] * parts][:parts]
    theta = np.zeros_like(precision)
    for _ in range(4 if parts * width < 300 else 2):
        prior = precision.copy()
        prior[:, 0] = flat
        certain = hessian.T.copy(order="F")  # symmetric; LAPACK works in place
        certain[np.diag_indices(len(certain))] += prior.reshape(-1)
        root, failed = lapack.dpotrf(certain, lower=True, clean=True, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError("additive: the coefficients are not determined")
        theta = lapack.dpotrs(root, pull, lower=True)[0].reshape(parts, width)
        inverse_root = lapack.dtrtri(root, lower=True, overwrite_c=True)[0]
        variance = np.einsum("ij,ij->j", inverse_root, inverse_root).reshape(parts, width)
        for group in (slice(0, 1), slice(1, 2), slice(2, parts)):
            if group.start < parts and width > 1:
                learned = _adaptive_precision(
                    theta[group, 1:], variance[group, 1:], precision[group, 1:]
                )
                precision[group, 1:] = np.sqrt(precision[group, 1:] * learned)
    return theta, precision


def _adaptive_precision(
    theta: np.ndarray, variance: np.ndarray, precision: np.ndarray
) -> np.ndarray:
    """Prior precision of each coefficient under a scale mixture learned from all of them.

    What the rows alone say of a coefficient (its cavity) is a normal mean with a known error;
    a mixture of zero-mean normals of many scales is fitted to these by EM, with weight towards
    the narrowest, and each coefficient gets the precision that shrinks as its posterior does.
    """
    information = np.maximum(1.0 / variance - precision, 1e-3 / variance)
    estimate = theta / variance / information
    spread = (1.0 / information).reshape(-1, 1) + _SCALES**2
    density = np.exp(-0.5 * np.square(estimate).reshape(-1, 1) / spread) / np.sqrt(spread)
    density = np.maximum(density, 1e-290)
    share = np.full(len(_SCALES), 1.0 / len(_SCALES))
    for _ in range(30):
        before = share
        share = before * ((1.0 / (density @ before)) @ density)
        share[0] += _NULL_WEIGHT
        share /= share.sum()
    kept = (density * (_SCALES**2 / spread)) @ before / (density @ before)
    kept = np.clip(kept, 1e-6, 1 - 1e-6).reshape(theta.shape)
    return np.asarray(information * (1.0 / kept - 1.0))
