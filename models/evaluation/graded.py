"""Rows of an experiment with forecasts that have not seen them, ready to grade policies by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..groups import shared_labels
from ..offers import Offer, chances_of, expected_costs, with_control
from .offpolicy import offer_scores


@dataclass(frozen=True)
class Graded:
    """Held-out rows with everything that is needed to grade a policy.

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
    tailored_cost
        What the tailored rule costs beside, per customer contacted, in the unit of `scores`.
    spent, to_spend
        (n, K + 1) AIPW scores of the money spent, and what is expected to be, if the objective is
        a return on it; `scores` and `expected` are then profits over those of the control.
    groups
        (n,) labels of rows that share their fate (`models.groups`), which count together in every
        error; None: every row by itself.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    expected: np.ndarray
    response: np.ndarray
    tailored: np.ndarray | None = None
    tailored_cost: float = 0.0
    spent: np.ndarray | None = None
    to_spend: np.ndarray | None = None
    groups: np.ndarray | None = None


def grade_rows(
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    offers: Mapping[str, Offer],
    control: str,
    objective: str,
    rule: Mapping[str, str],
    rule_cost: float = 0.0,
) -> Graded:
    """Rows of an experiment with out-of-sample predictions, ready to grade policies by.

    Parameters
    ----------
    rows
        (n, ...) columns offer, propensity, returned (0/1), for money value and cost, for the
        tailored rule departure_reason, and as far as known customer_id and group_id.
    predictions
        (n, ...) outputs of the win-back formula, same row order.
    offers
        Costs of each offer but the control.
    control
        The offer that is none.
    objective
        'returns', 'profit' (value - cost - contact cost), or 'roi' (profit over that of the
        control, per money spent).
    rule
        The tailored rule, stated reason -> offer; empty where there is none.
    rule_cost
        Cost per contact of finding out what the rule needs.
    """
    options = with_control(offers, control)
    names = (*options,)
    sent = rows["offer"].astype("str").to_numpy(dtype=object)
    chances = chances_of(predictions.columns, control)
    response = predictions[[f"{chances}{name}" for name in names]].to_numpy()

    def scores(outcome: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return offer_scores(sent, outcome, rows["propensity"], offers=names, predictions=expected)

    groups = shared_labels(rows)
    tailored = None
    if rule and "departure_reason" in rows.columns:
        tailored = tailored_rule(rows["departure_reason"], rule=rule, names=names)
    if objective == "returns":
        gained = scores(rows["returned"].to_numpy(float), response)
        return Graded(names, gained, response, response, tailored, groups=groups)
    contact = np.array([options[name].contact_cost for name in sent])
    spent = rows["cost"].to_numpy(float) + contact
    profit = predictions[[f"expected_profit_{name}" for name in names]].to_numpy()
    gained = scores(rows["value"].to_numpy(float) - spent, profit)
    if objective == "profit":
        return Graded(names, gained, profit, response, tailored, rule_cost, groups=groups)
    to_spend = expected_costs(options, response)
    return Graded(
        names,
        gained - gained[:, :1],
        profit - profit[:, :1],
        response,
        tailored,
        rule_cost,
        spent=scores(spent, to_spend),
        to_spend=to_spend,
        groups=groups,
    )


def tailored_rule(
    reason: pd.Series, *, rule: Mapping[str, str], names: Sequence[str]
) -> np.ndarray:
    """Offer by stated reason; for other reasons a random draw among the offers of the rule.

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
