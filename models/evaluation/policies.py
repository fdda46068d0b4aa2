"""Policies compared on rows that none of them learned from, with paired intervals.

Ours stands beside treating nobody, each single offer for all, a random offer, a response model
and, where reasons for leaving steer the offer, the tailored rule. The same function makes the
decision whether to personalize at all, on out-of-fold rows of the training part, and then grades
it on the held-out part: the maximum over noisy effects picks noise, so personal offers have to
earn their place against the best single offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..intervals import Estimate, mean_estimate, paired_difference, ratio_scores
from ..total_return import best_at, best_rate
from .graded import Graded
from .personal_gain import is_evident, is_likely, pooled_means

TREAT_NONE = "treat_none"
FOR_ALL, WITHIN_LIMITS = "_for_all", "_within_limits"  # one offer, to all or to as many as may be


def policies(
    graded: Graded,
    *,
    personalize: bool,
    best_single: str,
    deployed: np.ndarray | None = None,
    reach: Mapping[str, float] | None = None,
    rivals: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Every policy as the (n, K + 1) probabilities with which it sends each offer.

    `ours` is what is deployed, (n,) offers by name after rules and limits; the same without them
    is `before_rules`. Without `deployed`, `ours` is the latter. `reach` is the share of customers,
    drawn at random, to whom limits let each offer go (see `within_limits`). `rivals` are other
    policies, each (n,) offers by name.
    """
    rows, names = len(graded.scores), graded.names
    nobody = _always(0, graded)
    chosen = {name: _always(names.index(name), graded) for name in names[1:]}
    everyone = {TREAT_NONE: nobody} | {
        f"{name}{FOR_ALL}": probabilities for name, probabilities in chosen.items()
    }
    for name, share in (reach or {}).items():
        if share < 1:
            everyone[f"{name}{WITHIN_LIMITS}"] = share * chosen[name] + (1 - share) * nobody
    random = np.full((rows, len(names)), 1.0 / (len(names) - 1))
    random[:, 0] = 0.0
    response = graded.response.copy()
    response[:, 0] = -np.inf
    others = {"random": random, "response_model": _argmax(response)}
    others |= {name: _sent(chosen, graded) for name, chosen in (rivals or {}).items()}
    if graded.tailored is not None:
        others["tailored"] = graded.tailored
    ours = _personal(graded) if personalize else _always(names.index(best_single), graded)
    if deployed is None:
        return everyone | others | {"ours": ours}
    return everyone | others | {"before_rules": ours, "ours": _sent(deployed, graded)}


def compare(
    graded: Graded,
    *,
    personalize: bool,
    best_single: str,
    deployed: np.ndarray | None = None,
    reach: Mapping[str, float] | None = None,
    rivals: Mapping[str, np.ndarray] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Value of each policy per customer, and its gain over the best single offer, paired.

    The other arguments are those of `policies`. Where limits do not let the best single offer go to
    all, gains are over the offer that promises most within them.

    Returns
    -------
    pandas.DataFrame
        One row per policy: policy, value_per_customer, lo, hi, gain_over_best_single, gain_lo,
        gain_hi, n, in the unit of the scores; over (the policy that gains are over) and sent (share
        of the customers who are sent an offer). Those of gains come from the rows' differences.
    """
    rows = []
    sent = policies(
        graded,
        personalize=personalize,
        best_single=best_single,
        deployed=deployed,
        reach=reach,
        rivals=rivals,
    )
    over = _single(graded, best_single, reach)
    single = _earned(graded, sent[over])
    for policy, probabilities in sent.items():
        if graded.spent is not None and policy == TREAT_NONE:
            continue
        earned = _earned(graded, probabilities, beside=policy == "tailored")
        earns = mean_estimate(earned, clusters=graded.groups, level=level)
        gains = paired_difference(earned, single, clusters=graded.groups, level=level)
        rows.append(
            {
                "policy": policy,
                "value_per_customer": earns.value,
                "lo": earns.lo,
                "hi": earns.hi,
                "gain_over_best_single": gains.value,
                "gain_lo": gains.lo,
                "gain_hi": gains.hi,
                "n": earns.n,
                "over": over,
                "sent": float(1.0 - probabilities[:, 0].mean()),
            }
        )
    return pd.DataFrame(rows)


def paired_gains(
    graded: Graded, base: np.ndarray, others: Mapping[str, np.ndarray], *, level: float = 0.95
) -> pd.DataFrame:
    """What other policies earn over one of them, paired customer by customer.

    Parameters
    ----------
    graded
        Held-out rows.
    base
        (n,) the offer that each customer gets, by name.
    others
        The same under other policies, by their names.

    Returns
    -------
    pandas.DataFrame
        policy, customers (to whom it makes a difference), gain (per customer of all n), lo, hi, n.
    """
    earned = _earned(graded, _sent(base, graded))
    rows = []
    for policy, chosen in others.items():
        more = _earned(graded, _sent(chosen, graded))
        gain = paired_difference(more, earned, clusters=graded.groups, level=level)
        rows.append(
            {
                "policy": policy,
                "customers": int((chosen != base).sum()),
                "gain": gain.value,
                "lo": gain.lo,
                "hi": gain.hi,
                "n": gain.n,
            }
        )
    return pd.DataFrame(rows)


def decide(graded: Graded, *, ships: Graded | None = None) -> dict[str, Any]:
    """Whether personal offers are expected to beat the best single one, and which that is.

    Parameters
    ----------
    graded
        Out-of-fold rows of the training part, which decide.
    ships
        Out-of-fold rows of the models that ship, which are more, and tell how evident the gain is;
        by default the same rows.

    Returns
    -------
    dict
        best_single (may be the control), personalize (personal offers gain over it, see
        `is_likely`);
        of the rows `ships`: evidence (personal offers are sent and their gain over the offer that
        is best for all there lies beyond the noise, see `is_evident`), gain, gain_error, n.
    """
    best, gain = _lead(graded)
    personalize = is_likely(gain.value, gain.se, gain.units)
    shown = gain if ships is None else _lead(ships)[1]
    return {
        "best_single": graded.names[best],
        "personalize": personalize,
        "evidence": personalize and is_evident(shown.value, shown.se, shown.units),
        "gain": shown.value,
        "gain_error": shown.se,
        "n": shown.n,
    }


def _lead(graded: Graded) -> tuple[int, Estimate]:
    """The best offer for all, and the gain of a personal choice over it."""
    singles = [_earned(graded, _always(position, graded)) for position in range(len(graded.names))]
    earns = [mean_estimate(single, clusters=graded.groups) for single in singles]
    means, errors = (np.array([getattr(one, name) for one in earns]) for name in ("value", "se"))
    pooled = pooled_means(means, errors)  # few rows make no offer the best, but by the rate
    best = int(np.argmax(pooled))
    personal = _personal(graded)
    if graded.spent is None:  # the best was picked for its mean, which flatters it
        graded = replace(graded, scores=graded.scores + (pooled - means))
    single = _earned(graded, _always(best, graded))
    return best, paired_difference(_earned(graded, personal), single, clusters=graded.groups)


def _single(graded: Graded, best_single: str, reach: Mapping[str, float] | None) -> str:
    """The policy of one offer that ours is measured against."""
    if best_single == graded.names[0]:
        return TREAT_NONE
    if not reach or reach[best_single] == 1:
        return f"{best_single}{FOR_ALL}"
    promised = (graded.expected - graded.expected[:, :1]).mean(axis=0)
    gain = {name: reach.get(name, 1.0) * promised[at] for at, name in enumerate(graded.names)}
    best = best_single if graded.spent is not None else max(gain, key=lambda name: gain[name])
    if best == graded.names[0]:
        return TREAT_NONE
    return f"{best}{WITHIN_LIMITS if reach[best] < 1 else FOR_ALL}"


def _earned(graded: Graded, probabilities: np.ndarray, *, beside: bool = False) -> np.ndarray:
    """(n,) numbers whose mean is a policy's value and whose spread is its error.

    For a return on money spent these are the value plus its influence function, as for any ratio
    of means.
    """
    contacted = 1.0 - probabilities[:, 0]
    extra = graded.tailored_cost * contacted if beside else np.zeros(len(probabilities))
    earned = (probabilities * graded.scores).sum(axis=1) - extra
    if graded.spent is None:
        return earned
    spent = (probabilities * graded.spent).sum(axis=1) + extra
    if abs(spent.mean()) < 1e-12:
        return np.zeros(len(earned))  # nobody is sent anything, so nothing is gained or spent
    return ratio_scores(earned, spent)


def _personal(graded: Graded) -> np.ndarray:
    """(n, K + 1) the offer of each customer that promises most, or the largest total return."""
    if graded.to_spend is None:
        return _argmax(graded.expected)
    gain, cost = graded.expected[:, 1:], graded.to_spend[:, 1:]
    chosen = 1 + best_at(best_rate(gain, cost), gain, cost)
    return _one_each(np.where((gain > 0).any(axis=1), chosen, 0), graded.expected)


def _sent(chosen: np.ndarray, graded: Graded) -> np.ndarray:
    return (np.asarray(chosen)[:, None] == np.array(graded.names)).astype(np.float64)


def _always(position: int, graded: Graded) -> np.ndarray:
    probabilities = np.zeros_like(graded.scores)
    probabilities[:, position] = 1.0
    return probabilities


def _argmax(values: np.ndarray) -> np.ndarray:
    return _one_each(np.argmax(values, axis=1), values)


def _one_each(chosen: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Probabilities, of the shape of `like`, that are 1 for each row's chosen column."""
    probabilities = np.zeros_like(like)
    probabilities[np.arange(len(chosen)), chosen] = 1.0
    return probabilities
