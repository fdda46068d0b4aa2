"""Policies side by side on rows that none of them learned from, with paired intervals.

Ours stands beside treating nobody, each single offer for all, a random offer, a response model
and, where reasons for leaving steer the offer, the tailored rule. The same function makes the
decision whether to personalize at all, on out-of-fold rows of the training part, and then grades
it on the held-out part: the maximum over noisy effects picks noise, so personal offers have to
earn their place against the best single offer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm


@dataclass(frozen=True)
class Graded:
    """Held-out rows with everything that a policy can be graded by.

    Attributes
    ----------
    names
        K + 1 offers, the control first.
    scores
        (n, K + 1) AIPW scores of the objective: row i's estimated outcome had it got offer k.
    expected
        (n, K + 1) predicted outcome of the objective per offer.
    response
        (n, K + 1) predicted return probability per offer.
    tailored
        (n, K + 1) probability with which the tailored rule sends each offer, or None.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    expected: np.ndarray
    response: np.ndarray
    tailored: np.ndarray | None = None


def aipw_scores(
    *, outcome: np.ndarray, offer: np.ndarray, propensity: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Doubly robust score of every offer for every row.

    Parameters
    ----------
    outcome
        (n,) observed outcome, in the unit of `expected`.
    offer
        (n,) index of the offer sent, into the columns of `expected`.
    propensity
        (n,) probability of that offer for that customer.
    expected
        (n, K + 1) predicted outcome per offer, from rows other than these.

    Returns
    -------
    numpy.ndarray
        (n, K + 1) scores; their column means estimate the value of each offer for all
        (Robins, Rotnitzky & Zhao, JASA 1994).
    """
    scores = expected.copy()
    rows = np.arange(len(outcome))
    scores[rows, offer] += (outcome - expected[rows, offer]) / propensity
    return scores


def policies(graded: Graded, *, personalize: bool, best_single: str) -> dict[str, np.ndarray]:
    """Every policy as the (n, K + 1) probabilities with which it sends each offer."""
    rows, names = len(graded.scores), graded.names
    chosen = {name: _always(names.index(name), graded) for name in names[1:]}
    everyone = {"treat_none": _always(0, graded)} | {
        f"{name}_for_all": probabilities for name, probabilities in chosen.items()
    }
    random = np.full((rows, len(names)), 1.0 / (len(names) - 1))
    random[:, 0] = 0.0
    response = graded.response.copy()
    response[:, 0] = -np.inf
    others = {"random": random, "response_model": _argmax(response)}
    if graded.tailored is not None:
        others["tailored"] = graded.tailored
    ours = _argmax(graded.expected) if personalize else _always(names.index(best_single), graded)
    return everyone | others | {"ours": ours}


def compare(
    graded: Graded, *, personalize: bool, best_single: str, level: float = 0.95
) -> pd.DataFrame:
    """Value of each policy per customer, and its gain over the best single offer, paired.

    Returns
    -------
    pandas.DataFrame
        One row per policy: policy, value_per_customer, lo, hi, gain_over_best_single, gain_lo,
        gain_hi, n, in the unit of the scores. Intervals are normal, from the spread of the rows'
        scores; those of gains from the spread of the rows' differences.
    """
    width = float(norm.ppf(0.5 + level / 2))
    single = graded.scores[:, graded.names.index(best_single)]
    rows = []
    sent = policies(graded, personalize=personalize, best_single=best_single)
    for policy, probabilities in sent.items():
        earned = (probabilities * graded.scores).sum(axis=1)
        value, spread = _mean_and_error(earned)
        gain, gain_spread = _mean_and_error(earned - single)
        rows.append(
            {
                "policy": policy,
                "value_per_customer": value,
                "lo": value - width * spread,
                "hi": value + width * spread,
                "gain_over_best_single": gain,
                "gain_lo": gain - width * gain_spread,
                "gain_hi": gain + width * gain_spread,
                "n": len(earned),
            }
        )
    return pd.DataFrame(rows)


def decide(graded: Graded, *, errors: float = 1.0) -> dict[str, object]:
    """Whether personal offers beat the best single one on out-of-fold rows, and which that is.

    Parameters
    ----------
    graded
        Out-of-fold rows of the training part.
    errors
        Standard errors by which the gain must lie above zero.

    Returns
    -------
    dict
        best_single (may be the control), personalize, gain, gain_error, n.
    """
    best = int(np.argmax(graded.scores.mean(axis=0)))
    personal = (_argmax(graded.expected) * graded.scores).sum(axis=1)
    gain, error = _mean_and_error(personal - graded.scores[:, best])
    return {
        "best_single": graded.names[best],
        "personalize": bool(gain > errors * error and error > 0),
        "gain": gain,
        "gain_error": error,
        "n": len(personal),
    }


def tailored_rule(
    reason: pd.Series, *, rule: Mapping[str, str], names: Sequence[str]
) -> np.ndarray:
    """The offer by stated reason; where the reason names none, a fair draw among the rule's offers.

    Returns
    -------
    numpy.ndarray
        (n, K + 1) probabilities.

    Raises
    ------
    ValueError
        If the rule names an offer that is not among `names`.
    """
    unknown = sorted(set(rule.values()) - set(names))
    if unknown:
        raise ValueError(
            f"experiment.tailored: unknown offers {', '.join(unknown)}; "
            f"the experiment has {', '.join(names)}"
        )
    options = sorted(set(rule.values()))
    probabilities = np.zeros((len(reason), len(names)))
    unsteered = ~reason.isin(list(rule)).to_numpy()
    for offer in options:
        probabilities[unsteered, list(names).index(offer)] = 1.0 / len(options)
    for stated, offer in rule.items():
        probabilities[(reason == stated).to_numpy(), list(names).index(offer)] = 1.0
    return probabilities


def _always(position: int, graded: Graded) -> np.ndarray:
    probabilities = np.zeros_like(graded.scores)
    probabilities[:, position] = 1.0
    return probabilities


def _argmax(values: np.ndarray) -> np.ndarray:
    probabilities = np.zeros_like(values)
    probabilities[np.arange(len(values)), np.argmax(values, axis=1)] = 1.0
    return probabilities


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
