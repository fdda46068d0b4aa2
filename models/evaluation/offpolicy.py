"""What a policy would have earned, judged on customers whose offers were randomized.

A policy says which offer a customer gets: an array of offer names, or a matrix of probabilities
when it draws lots. On an experiment with known propensities each customer yields one score whose
mean estimates the value of the policy; three kinds of score are known here:

- ``ipw``: the outcome where policy and experiment agree, divided by the propensity
  (Horvitz & Thompson 1952).
- ``snipw``: the same, normalized by the sum of the weights instead of the number of rows
  (Hájek 1971; Swaminathan & Joachims 2015), written as its linearization so that the mean of the
  scores is the estimate and their spread its standard error.
- ``dr``: a prediction of every outcome, corrected by the weighted error where the offer was
  really sent (Robins, Rotnitzky & Zhao 1994; Dudík, Langford & Li 2011). Predictions must come
  from models that have not seen the row.

Two policies are compared on the same rows, row by row, which removes what they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import stdtrit

Method = Literal["ipw", "snipw", "dr"]
METHODS: tuple[str, ...] = get_args(Method)


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
    """

    value: float
    lo: float
    hi: float
    se: float
    n: int


def policy_matrix(policy: Any, offers: Sequence[str]) -> np.ndarray:
    """Probabilities with which a policy sends each offer.

    Parameters
    ----------
    policy
        Array of n offer names, or matrix (n, K) of probabilities in the order of `offers`.
    offers
        The K offers, control included.

    Returns
    -------
    ndarray of float64, shape (n, K); every row sums to one.

    Raises
    ------
    ValueError
        If an offer is unknown, or probabilities are negative or do not sum to one.
    """
    given = np.asarray(policy)
    if given.ndim == 1:
        return (_positions(given, offers, "policy")[:, None] == np.arange(len(offers))).astype(
            np.float64
        )
    matrix = given.astype(np.float64)
    if matrix.shape[1] != len(offers):
        raise ValueError(
            f"policy: a matrix must have one column per offer ({len(offers)}), found "
            f"{matrix.shape[1]}; order its columns as {list(offers)}"
        )
    totals = matrix.sum(axis=1)
    if not (matrix >= 0).all() or not np.allclose(totals, 1.0, atol=1e-9):
        raise ValueError(
            "policy: probabilities must be non-negative and sum to 1 in every row, found sums "
            f"from {totals.min():.6g} to {totals.max():.6g}; normalize them"
        )
    return matrix


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


def policy_scores(
    policy: Any,
    *,
    sent: Any,
    outcome: Any,
    propensity: Any,
    offers: Sequence[str],
    predictions: np.ndarray | None = None,
    method: Method = "dr",
) -> np.ndarray:
    """One score per customer, whose mean estimates the value of a policy.

    Parameters
    ----------
    policy
        n offer names, or an (n, K) matrix of probabilities.
    sent, outcome, propensity, offers, predictions
        As in `offer_scores`; `predictions` are needed by ``dr`` alone.
    method
        ``ipw``, ``snipw`` or ``dr``; see the module docstring.

    Returns
    -------
    ndarray of float64, shape (n,).

    Raises
    ------
    ValueError
        If the method is unknown, ``dr`` has no predictions, ``snipw`` meets a policy that never
        agrees with the experiment, or an input is malformed.
    """
    if method not in METHODS:
        raise ValueError(f"method: must be one of {', '.join(METHODS)}, found '{method}'")
    if (method == "dr") != (predictions is not None):
        raise ValueError(
            f"predictions: method '{method}' "
            + ("needs them, found none; " if method == "dr" else "does not use them; ")
            + "use 'dr' with predictions, 'ipw' or 'snipw' without"
        )
    chances = policy_matrix(policy, offers)
    if method != "snipw":
        scores = offer_scores(sent, outcome, propensity, offers=offers, predictions=predictions)
        _same_length(chances, scores, "policy")
        return (chances * scores).sum(axis=1)
    positions, y, e = _logged(sent, outcome, propensity, offers)
    _same_length(chances, y, "policy")
    weight = chances[np.arange(len(y)), positions] / e
    if not weight.any():
        raise ValueError(
            "policy: it agrees with no offer that was sent, so its value cannot be known from "
            "this experiment; use 'dr', or test the policy"
        )
    estimate = float((weight * y).sum() / weight.sum())
    return estimate + weight * (y - estimate) / weight.mean()


def effective_rows(policy: Any, *, sent: Any, propensity: Any, offers: Sequence[str]) -> float:
    """How many equally weighted rows speak for a policy (Kish): squared sum over sum of squares."""
    positions, _, e = _logged(sent, np.zeros(len(np.asarray(sent))), propensity, offers)
    chances = policy_matrix(policy, offers)
    _same_length(chances, e, "policy")
    weight = chances[np.arange(len(e)), positions] / e
    total = float((weight**2).sum())
    return float(weight.sum() ** 2 / total) if total else 0.0


def value(scores: Any, *, clusters: Any = None, level: float = 0.95) -> Estimate:
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
        _same_length(labels, values, "clusters")
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
    return Estimate(mean, mean - reach, mean + reach, se, len(values))


def difference(
    scores: Any, baseline_scores: Any, *, clusters: Any = None, level: float = 0.95
) -> Estimate:
    """How much more one policy earns than another, paired row by row.

    Parameters
    ----------
    scores, baseline_scores
        Scores of the two policies for the same customers in the same order.
    clusters, level
        As in `value`.
    """
    ours = np.asarray(scores, dtype=np.float64)
    theirs = np.asarray(baseline_scores, dtype=np.float64)
    _same_length(theirs, ours, "baseline_scores")
    return value(ours - theirs, clusters=clusters, level=level)


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
    if not ((e > 0) & (e <= 1)).all():
        raise ValueError(
            f"propensity: must lie in (0, 1], found {int((~((e > 0) & (e <= 1))).sum())} rows "
            "outside; log the probability of the offer that was sent"
        )
    return positions, y, e


def _positions(names: np.ndarray, offers: Sequence[str], what: str) -> np.ndarray:
    codes, levels = pd.factorize(names, use_na_sentinel=False)
    place = {str(name): position for position, name in enumerate(offers)}
    unknown = [str(name) for name in levels if str(name) not in place]
    if unknown:
        raise ValueError(f"{what}: must be one of {list(offers)}, found {unknown[:5]}")
    return np.array([place[str(name)] for name in levels], dtype=np.int64)[codes]


def _checked(predictions: np.ndarray, offers: Sequence[str], rows: int) -> np.ndarray:
    matrix = np.array(predictions, dtype=np.float64)
    if matrix.shape != (rows, len(offers)) or not np.isfinite(matrix).all():
        raise ValueError(
            f"predictions: must be finite, of shape ({rows}, {len(offers)}), found shape "
            f"{matrix.shape}; give one column per offer in the order {list(offers)}"
        )
    return matrix


def _same_length(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    if len(found) != len(expected):
        raise ValueError(f"{what}: must have {len(expected)} rows, found {len(found)}")
