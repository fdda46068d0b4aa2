"""Tests of whether personal offers gain over the best single one.

Two questions are kept apart. What to do: the better guess, so personal offers are sent where they
are likelier to gain than to lose (`is_likely`). What to claim: a gain is evident where a one-sided
test at 5% leaves no doubt of it on held-out rows (`is_evident`).
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax, stdtrit

_TELLING = 100_000  # rows on which a gain within one error is rather none
_SURE = 0.95  # without effects a gain is evident in 5% of the experiments
_SPREADS = np.geomspace(0.02, 5.0, 40)  # of the arms' means, in units of their range or error


def is_likely(gain: float, error: float, units: int) -> bool:
    """Whether personal offers are likelier to gain than to lose, by their gain on held-out rows.

    `error` is its standard error over so many `units` (rows, or groups that share their fate).
    Where effects differ, the gain stands out of the noise the more the more rows there are. So a
    gain that is faint on many rows is rather none, and personal offers then lose a little, namely
    what they were learned from noise. Of few rows any gain is enough, of `_TELLING` it has to
    exceed one error, never more than makes it evident.

    Notes
    -----
    The odds of "none" at the same gain in errors grow with the root of the rows (Kass & Raftery,
    Journal of the American Statistical Association 90(430), 1995, on unit information). How
    many rows are telling was chosen on worlds of benchmarks/zoo.py.
    """
    return gain > 0 and (gain > (units / _TELLING) ** 0.5 * error or is_evident(gain, error, units))


def is_evident(gain: float, error: float, units: int) -> bool:
    """Whether the gain on held-out rows is statistically significant.

    `error` is its standard error over so many `units` (rows, or groups that share their fate).
    """
    return error > 0 and gain > float(stdtrit(units - 1, _SURE)) * error


def pooled_means(means: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Means (arms,) shrunk towards their common mean according to their errors (arms,).

    Normal means whose common centre and spread are not known (Efron & Morris 1973): averaged over
    a grid of spreads by their likelihood.
    """
    means, errors = np.asarray(means, dtype=float), np.asarray(errors, dtype=float)
    if len(means) < 2 or not (errors > 0).all():
        return means
    reach = max(float(np.ptp(means)), float(errors.min()))
    logs, shrunk = [], []
    for spread in reach * _SPREADS:
        weight = 1.0 / (errors**2 + spread**2)
        centre = float((weight * means).sum() / weight.sum())
        logs.append(
            0.5 * np.log(weight).sum()
            - 0.5 * np.log(weight.sum())
            - 0.5 * float((weight * (means - centre) ** 2).sum())
        )
        shrunk.append(centre + (means - centre) * spread**2 * weight)
    return np.asarray(softmax(logs) @ np.array(shrunk))
