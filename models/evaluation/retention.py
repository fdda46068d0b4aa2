"""Whom to keep: active customers chosen by their risk to leave, or by what an offer changes.

Those most at risk need not be those whom an offer keeps, and some leave because of it (Ascarza,
"Retention futility", Journal of Marketing Research 55(1), 2018). So both choices contact equally
many customers, and are valued on held-out rows of a randomized experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .graded import Graded
from .policies import paired_gains

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
BY_RISK, BY_UPLIFT = "by_risk", "by_uplift"


def single_offer(graded: Graded, best_single: str) -> str:
    """The offer that a choice by risk sends: the best for all, or the one that promises most."""
    if best_single != graded.names[0]:
        return best_single
    return graded.names[1 + int(np.argmax(graded.expected[:, 1:].mean(axis=0)))]


def chosen_by(
    graded: Graded, *, risk: np.ndarray, single: str, share: float | None = None
) -> dict[str, np.ndarray]:
    """What both choices send to each customer, by name.

    Parameters
    ----------
    graded
        Held-out rows with the forecasts of the objective.
    risk
        (n,) probability to leave without an offer, of a model that has not seen the row.
    single
        The offer that those most at risk are sent.
    share
        Of the customers who are sent something; None: all of whom an offer promises a gain.

    Returns
    -------
    dict
        `BY_RISK`: (n,) the single offer for those most at risk, the control for the others;
        `BY_UPLIFT`: (n,) the offer that promises each customer most, for those whom it promises
        most. Both are sent to equally many.
    """
    names = np.array(graded.names, dtype=object)
    gains = graded.expected[:, 1:] - graded.expected[:, :1]
    best, gain = 1 + gains.argmax(axis=1), gains.max(axis=1)
    count = int((gain > 0).sum()) if share is None else round(share * len(gain))
    return {
        BY_RISK: np.where(_first(risk, count), single, names[0]),
        BY_UPLIFT: np.where(_first(gain, count), names[best], names[0]),
    }


def by_share(
    graded: Graded,
    *,
    risk: np.ndarray,
    single: str,
    shares: Sequence[float] = SHARES,
    level: float = 0.95,
) -> pd.DataFrame:
    """What both choices gain over no offer to anybody, by the share of customers contacted.

    The arguments are those of `chosen_by`.

    Returns
    -------
    pandas.DataFrame
        share, policy (`BY_RISK`, `BY_UPLIFT`, or `difference`, the second less the first, paired),
        gain per customer of all n, lo, hi, in the unit of the scores.
    """
    nobody = np.full(len(risk), graded.names[0], dtype=object)
    tables = []
    for share in shares:
        sent = chosen_by(graded, risk=risk, single=single, share=share)
        gains = paired_gains(graded, nobody, sent, level=level)
        lead = paired_gains(graded, sent[BY_RISK], {"difference": sent[BY_UPLIFT]}, level=level)
        tables.append(pd.concat([gains, lead]).assign(share=share))
    rows = pd.concat(tables, ignore_index=True)
    return rows[["share", "policy", "gain", "lo", "hi"]]


def _first(values: np.ndarray, count: int) -> np.ndarray:
    """(n,) bool: the `count` rows with the largest values, of equal ones the earlier."""
    first = np.zeros(len(values), dtype=bool)
    first[np.argsort(-np.asarray(values, dtype=float), kind="stable")[:count]] = True
    return first
