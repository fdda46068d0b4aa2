"""How far one offer for all would go with the money and the offers that a policy uses up.

A policy that keeps to a budget earns less than an offer for everybody that does not, and nothing
follows from that. Beside it stands the offer sent at random to as many as the same limits allow.
"""

from __future__ import annotations

import numpy as np

from ..decision.decision import Decision
from ..offers import expected_costs, with_control


def reach_of_offers(
    decision: Decision, sent: np.ndarray, response: np.ndarray
) -> dict[str, float] | None:
    """Share of the customers to whom each offer could go in place of what is sent.

    Parameters
    ----------
    decision
        Its prices tell what is scarce: expected money, and the offers of which there are so many.
    sent
        (n,) the offer that it sends to each customer, by name.
    response
        (n, K + 1) probability to return with each offer, the control first.

    Returns
    -------
    dict
        Per offer but the control: 1 where nothing stops it from going to everybody. None where
        nothing is scarce.
    """
    if not decision.limited:
        return None
    costs = expected_costs(with_control(decision.offers, decision.control), response)
    names = np.array([decision.control, *decision.offers])
    spent = costs[sent[:, None] == names].sum()
    reach = {}
    for name, cost in zip(names[1:], costs[:, 1:].sum(axis=0), strict=True):
        paid = spent / cost if decision.prices.money and cost > 0 else 1.0
        there = (sent == name).mean() if decision.prices.offers.get(name) else 1.0
        reach[str(name)] = float(min(1.0, paid, there))
    return reach
