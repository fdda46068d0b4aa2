"""Off-policy evaluation: what a policy would have earned, from randomized offers.

On an experiment with known propensities each customer yields one score per offer, whose mean
estimates what that offer is worth sent to everybody:

- without predictions: the outcome where the offer was sent, divided by the propensity, else zero
  (IPW: Horvitz & Thompson 1952);
- with them: a prediction of every outcome, corrected by the weighted error where the offer was
  really sent (AIPW: Robins, Rotnitzky & Zhao 1994; Dudík, Langford & Li 2011). Predictions must
  come from models that have not seen the row.

A policy is a matrix (n, K) of the probabilities with which it sends each offer; its score is the
scores of the offers weighted by them (`intervals.mean_estimate` gives its value). Two policies are
compared on the same rows (`intervals.paired_difference`), which removes what they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..propensity import propensity_fault


def offer_scores(
    sent: Any,
    outcome: Any,
    propensity: Any,
    *,
    offers: Sequence[str],
    predictions: np.ndarray | None = None,
) -> np.ndarray:
    """One score per customer and offer, whose column means estimate the value of each offer.

    Parameters
    ----------
    sent
        Offer that each customer was really sent, n names.
    outcome
        What came of it, n numbers.
    propensity
        Probability with which that customer was sent that offer, n numbers in (0, 1].
    offers
        The K offers, control included.
    predictions
        Out-of-sample predictions of the outcome under every offer, shape (n, K): the scores are
        doubly robust. Without them they are inverse-propensity scores.

    Returns
    -------
    ndarray of float64, shape (n, K). A column minus the control's column scores the effect.

    Raises
    ------
    ValueError
        If lengths differ, an offer is unknown, a number is not finite, or a propensity lies
        outside (0, 1].
    """
    positions, y, e = _logged(sent, outcome, propensity, offers)
    rows = np.arange(len(y))
    scores = (
        np.zeros((len(y), len(offers)))
        if predictions is None
        else _checked(predictions, offers, len(y))
    )
    scores[rows, positions] += (y - scores[rows, positions]) / e
    return scores


def _logged(
    sent: Any, outcome: Any, propensity: Any, offers: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    positions = _positions(np.asarray(sent), offers, "offer")
    y = np.asarray(outcome, dtype=np.float64)
    e = np.asarray(propensity, dtype=np.float64)
    _same_length(y, positions, "outcome")
    _same_length(e, positions, "propensity")
    if not np.isfinite(y).all():
        raise ValueError("outcome: must be finite numbers, found NaN or infinity; drop those rows")
    if fault := propensity_fault(e):
        raise ValueError(f"propensity: {fault}")
    return positions, y, e


def _positions(names: np.ndarray, offers: Sequence[str], what: str) -> np.ndarray:
    codes, levels = pd.factorize(names, use_na_sentinel=False)
    position_of = {str(name): position for position, name in enumerate(offers)}
    unknown = [str(name) for name in levels if str(name) not in position_of]
    if unknown:
        raise ValueError(f"{what}: must be one of {list(offers)}, found {unknown[:5]}")
    return np.array([position_of[str(name)] for name in levels], dtype=np.int64)[codes]


def _checked(predictions: np.ndarray, offers: Sequence[str], rows: int) -> np.ndarray:
    matrix = np.array(predictions, dtype=np.float64)
    if matrix.shape != (rows, len(offers)) or not np.isfinite(matrix).all():
        raise ValueError(
            f"predictions: must be finite, of shape ({rows}, {len(offers)}), found shape "
            f"{matrix.shape}; give one column per offer in the order {list(offers)}"
        )
    return matrix


def _same_length(values: np.ndarray, expected: np.ndarray, what: str) -> None:
    if len(values) != len(expected):
        raise ValueError(f"{what}: must have {len(expected)} rows, found {len(values)}")
