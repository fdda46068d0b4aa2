"""Confidence intervals, p-values and smallest detectable effects.

Estimates here are means of one number per row (a score). The spread of the scores is then the
standard error, also of a ratio (`ratio_scores`) and of a difference on the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtr, stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes
    ----------
    value
        The estimate, in the unit of the outcome per customer.
    lo, hi
        Confidence interval.
    se
        Standard error, from the influence function, by cluster where clusters were given.
    n
        Rows.
    units
        Clusters, where they were given, else rows: what the standard error counts.
    """

    value: float
    lo: float
    hi: float
    se: float
    n: int
    units: int


def mean_estimate(scores: ArrayLike, *, clusters: Any = None, level: float = 0.95) -> Estimate:
    """Mean of per-customer scores with its interval.

    Parameters
    ----------
    scores
        n finite numbers.
    clusters
        n labels of groups that share their fate, such as households; None: every row by itself.
    level
        Confidence level; quantiles of Student's t with one degree less than there are clusters.

    Raises
    ------
    ValueError
        If there are fewer than two rows or clusters, or a score is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("scores: must be finite numbers, found NaN or infinity; drop those rows")
    if not 0 < level < 1:
        raise ValueError(f"level: must lie between 0 and 1, found {level}")
    mean = float(values.mean()) if len(values) else np.nan
    deviations: np.ndarray = values - mean
    if clusters is not None:
        labels = np.asarray(clusters)
        if len(labels) != len(values):
            raise ValueError(f"clusters: must have {len(values)} rows, found {len(labels)}")
        _, groups = np.unique(labels, return_inverse=True)
        deviations = np.bincount(groups, weights=deviations)
    count = len(deviations)
    if count < 2:
        raise ValueError(
            f"scores: an interval needs at least 2 {'rows' if clusters is None else 'clusters'}, "
            f"found {count}"
        )
    se = float(np.sqrt(count / (count - 1) * (deviations**2).sum()) / len(values))
    reach = float(stdtrit(count - 1, 0.5 + level / 2)) * se
    return Estimate(mean, mean - reach, mean + reach, se, len(values), count)


def paired_difference(
    scores: ArrayLike, baseline: ArrayLike, *, clusters: Any = None, level: float = 0.95
) -> Estimate:
    """Mean of the scores less that of the baseline's on the same rows, paired row by row.

    Parameters
    ----------
    scores, baseline
        n numbers each, for the same customers in the same order.
    clusters, level
        See `mean_estimate`.

    Raises
    ------
    ValueError
        If the lengths differ, or as `mean_estimate`.
    """
    values = np.asarray(scores, dtype=np.float64)
    baseline_values = np.asarray(baseline, dtype=np.float64)
    if len(values) != len(baseline_values):
        raise ValueError(f"baseline: must have {len(values)} rows, found {len(baseline_values)}")
    return mean_estimate(values - baseline_values, clusters=clusters, level=level)


def ratio_scores(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Scores whose mean is a ratio of two means (delta method); NaN if the lower one is zero."""
    below = denominator.mean()
    if abs(below) < 1e-12:
        return np.full(len(numerator), np.nan)
    ratio = numerator.mean() / below
    return ratio + (numerator - ratio * denominator) / below


def normal_reach(level: float) -> float:
    """Standard errors from the middle of a normal interval to its ends: 1.96 at a level of 0.95.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: must lie between 0 and 1, found {level:g}")
    return float(ndtri(0.5 + level / 2))


def leads(estimates: np.ndarray, errors: np.ndarray, position: int, *, level: float = 0.95) -> bool:
    """Whether one of several independent estimates (n,) is above each other one beyond noise.

    Normal approximation; `errors` (n,) are their standard errors.
    """
    gaps = np.delete(estimates[position] - estimates, position)
    reach = normal_reach(level) * np.hypot(errors[position], np.delete(errors, position))
    return bool((gaps > reach).all())


def count_reach(variance: float, *, level: float = 0.95) -> float:
    """How far the number of events strays from its mean by chance alone.

    Normal approximation of a sum of independent events; `variance` is the sum of p (1 - p) over
    their chances p.
    """
    return normal_reach(level) * float(np.sqrt(variance))


def wilson_interval(
    share: ArrayLike, rows: ArrayLike, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of observed shares of that many rows (Wilson 1927)."""
    z = normal_reach(level)
    share, rows = np.asarray(share, dtype=float), np.asarray(rows, dtype=float)
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    half = half / (1 + z**2 / rows)
    low, high = np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
    return np.minimum(low, share), np.maximum(high, share)  # at 0 and 1 rounding could cross it


def percentile_interval(draws: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Ends of a bootstrap interval: quantiles of the draws that are known; NaN if none is."""
    present = draws[~np.isnan(draws)]
    if not len(present):
        return float("nan"), float("nan")
    lo, hi = np.quantile(present, [(1 - level) / 2, (1 + level) / 2])
    return float(lo), float(hi)


def two_sided(estimate: Estimate) -> float:
    """Two-sided p-value of no effect, by the law of the interval (Student's t)."""
    if estimate.se == 0:
        return 1.0 if estimate.value == 0 else 0.0
    return float(2 * stdtr(estimate.units - 1, -abs(estimate.value / estimate.se)))


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values adjusted for multiple tests (Holm 1979); NaN stays out of the family.

    Rejecting where the adjusted value is below alpha keeps the chance of any false rejection in
    the family below alpha.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    present = np.flatnonzero(~np.isnan(p))
    order = present[np.argsort(p[present], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def detectable_effect(se: Any) -> Any:
    """Smallest true effect, by standard error, that a two-sided test at 5% notices 4 times in 5."""
    return float(ndtri(1 - 0.05 / 2) + ndtri(0.8)) * se
