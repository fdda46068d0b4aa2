"""What a budget buys, on a world in which the right order of customers is known."""

import numpy as np
import pytest

from winback.models.evaluation.budget import PERSONAL, UNIFORM, budget_curve, qini_curves
from winback.models.evaluation.graded import Graded
from winback.models.offers import Offer

OFFERS = {"gift": Offer(10.0, 0.0), "call": Offer(0.0, 2.0)}


def judged(rows=600, free=False):
    """Half gain 6 by the gift, half 6 by the call; scores are the truth itself."""
    gift = np.arange(rows) % 2 == 0
    gain = np.column_stack([np.zeros(rows), 6.0 * gift, 6.0 * ~gift])
    response = np.full((rows, 3), 0.4)
    return Graded(("none", "gift", "call"), gain, gain, response)


def test_personal_offers_gain_twice_what_one_for_all_does():
    table = budget_curve(judged(), offers=OFFERS, points=5, replicates=20, seed=0)
    last = table.groupby("policy")["gain"].last()
    assert last[PERSONAL] == pytest.approx(6.0)
    assert last[UNIFORM] == pytest.approx(3.0, abs=0.1)
    first = table.groupby("policy")["gain"].first()
    assert (first == 0).all()
    assert table["budget"].max() == pytest.approx(4.0 / 2 + 2.0 / 2)  # each with her own offer


def test_where_offers_cost_nothing_contacts_are_spent():
    free = {"gift": Offer(), "call": Offer()}
    table = budget_curve(judged(), offers=free, points=3, replicates=5, seed=0)
    assert table["budget"].max() == pytest.approx(1.0)


def test_where_no_offer_gains_a_budget_buys_nothing():
    loss = np.tile([0.0, -1.0, -2.0], (50, 1))
    table = budget_curve(
        Graded(("none", "gift", "call"), loss, loss, np.full((50, 3), 0.4)),
        offers=OFFERS, points=3, replicates=5, seed=0,
    )  # fmt: skip
    assert (table["gain"] == 0).all()
    assert table["budget"].max() == pytest.approx(2.0)


def test_a_qini_curve_rises_while_customers_gain_and_asks_nobody_who_loses():
    truth = judged()
    harmed = Graded(
        truth.names, truth.scores - [0, 1, 1], truth.expected - [0, 1, 1], truth.response
    )
    table = qini_curves(harmed, points=5, replicates=20, seed=0)
    gift = table[table["offer"] == "gift"]
    assert gift["share"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(gift["gain"], [0, 1.25, 2.5, 2.5, 2.5])
