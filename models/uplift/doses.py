"""Offers that are doses of one thing, such as discounts of 10, 20 and 30 percent.

What a source says of them (`offers.check_doses`) is used in three places. The additive model learns
what each dose adds to the one before instead of how each differs from all (`step_coding`), the
boosters see the dose as one number, so that a split parts all doses up to one from those above it,
and the doses' average outcomes rise with the dose (`rising_means`). Arms lend each other strength
by that, and every dose keeps an effect of its own: around the averages no shape is imposed on a
customer's response. The smallest dose may do harm, and all may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.isotonic import isotonic_regression

_POWERS = (0.0, 0.5, 1.0)  # of the dose, in the trends of an average response; 0: none
_SPREADS = np.geomspace(0.02, 5.0, 10)  # of what is left of it, in units of the means' range


class DoseFamily(NamedTuple):
    """Doses of one thing in ascending order: codes of the offers (the control is 0) and doses."""

    codes: tuple[int, ...]
    doses: tuple[float, ...]


def families_of(
    doses: Mapping[str, Mapping[str, float]], arms: Sequence[str]
) -> tuple[DoseFamily, ...]:
    """Families among the `arms` (control first); those of which two doses were sent at least."""
    found = []
    for members in doses.values():
        sent = sorted((dose, arms.index(name)) for name, dose in members.items() if name in arms)
        if len(sent) > 1:
            amounts, codes = zip(*sent, strict=True)
            found.append(DoseFamily(codes, amounts))
    return tuple(found)


def step_coding(coding: np.ndarray, families: Sequence[DoseFamily]) -> np.ndarray:
    """A coding (offers, parts) with steps from dose to dose in the place of own deviations.

    The last `offers - 1` parts are the deviations of the offers, the control left out (see
    `regression.additive.offer_coding`).
    """
    stepped = coding.copy()
    first = coding.shape[1] - len(coding)
    for family in families:
        for position, code in enumerate(family.codes):
            stepped[list(family.codes[position:]), first + code] = 1.0
    return stepped


def sent_columns(offers: int, families: Sequence[DoseFamily]) -> np.ndarray:
    """Each offer (rows, the control first) as numbers beside a customer's columns.

    An indicator of each offer, but one column with the dose for all offers of a family.
    """
    dosed = {code for family in families for code in family.codes}
    columns = [np.eye(offers)[:, code] for code in range(1, offers) if code not in dosed]
    for family in families:
        column = np.zeros(offers)
        column[list(family.codes)] = family.doses
        columns.append(column)
    return np.column_stack(columns)


def rising_means(means: np.ndarray, errors: np.ndarray, family: DoseFamily) -> np.ndarray:
    """Average outcomes (1 + doses,) of the control and every dose, smoothed; doses never fall.

    The response is a trend in the dose (none, its root or a line) plus a random walk over the
    root of the dose. Posterior means of normal means are averaged over trends and spreads of the
    walk by their likelihood, and those of the doses made to rise by pooling adjacent violators.
    The control is none of them: every dose may do worse than nothing.

    Parameters
    ----------
    means, errors
        (offers,) average outcomes of all offers, the control first, and their standard errors.
    """
    codes = [0, *family.codes]
    mean, error = means[codes], errors[codes]
    if not (error > 0).all():
        return np.append(mean[0], isotonic_regression(mean[1:]))
    share = np.array([0.0, *family.doses]) / family.doses[-1]
    reach = max(float(np.ptp(mean)), float(error.min()))
    walk = np.sqrt(np.minimum.outer(share, share))
    logs, found = [], []
    for power in _POWERS:
        trend = share**power if power else np.zeros(len(share))
        for spread in reach * _SPREADS:
            prior = walk * spread**2 + np.outer(trend, trend) * reach**2
            noisy = prior + np.diag(error**2)
            precision = np.linalg.inv(noisy)
            centre = float(precision.sum(axis=0) @ mean) / float(precision.sum())
            left = precision @ (mean - centre)
            space = np.linalg.slogdet(noisy)[1] + np.log(precision.sum())
            logs.append(-0.5 * (space + float(left @ (mean - centre))))
            found.append(centre + prior @ left)
    smooth = softmax(logs) @ np.array(found)
    return np.append(smooth[0], isotonic_regression(smooth[1:], sample_weight=error[1:] ** -2.0))


def smallest_best(means: np.ndarray, families: Sequence[DoseFamily]) -> int:
    """The offer with the largest of (offers,) means; of equal ones the smallest dose."""
    doses = np.zeros(len(means))
    for family in families:
        doses[list(family.codes)] = family.doses
    best = np.flatnonzero(means == means.max())
    return int(best[np.argmin(doses[best])])
