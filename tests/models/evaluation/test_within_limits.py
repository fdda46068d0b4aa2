"""One offer for all, within the limits that a policy keeps to."""

from dataclasses import replace

import numpy as np
import pytest
from decided import OFFERS, learn, predicted

from winback.models.decision.decision import Prices
from winback.models.evaluation.within_limits import reach_of_offers

ROWS = 10
RESPONSE = np.tile([0.1, 0.5, 0.4], (ROWS, 1))  # none, discount at 61, upgrade at 43 each


def decided(**prices):
    decision = learn(predicted([(0.1, 0.5, 0.4, 1000.0)] * ROWS))
    return replace(decision, prices=Prices(**prices))


def sent(discounts, upgrades):
    rest = ROWS - discounts - upgrades
    return np.array(["discount"] * discounts + ["upgrade"] * upgrades + ["none"] * rest)


def test_where_nothing_is_scarce_there_is_nothing_to_keep_to():
    assert reach_of_offers(decided(), sent(5, 5), RESPONSE) is None
    assert reach_of_offers(decided(return_on_cost=2.0), sent(5, 5), RESPONSE) is None


def test_money_pays_for_as_many_as_it_paid_for():
    reach = reach_of_offers(decided(money=1.0), sent(2, 1), RESPONSE)
    spent = 2 * 61 + 43
    assert reach == pytest.approx({"discount": spent / 61 / ROWS, "upgrade": spent / 43 / ROWS})


def test_enough_money_for_all_is_for_all_and_no_more():
    assert reach_of_offers(decided(money=1.0), sent(8, 2), RESPONSE)["upgrade"] == 1.0


def test_of_a_scarce_offer_there_are_as_many_as_were_sent():
    reach = reach_of_offers(decided(offers={"upgrade": 3.0, "discount": 0.0}), sent(6, 2), RESPONSE)
    assert reach == {"discount": 1.0, "upgrade": 0.2}


def test_an_offer_that_costs_nothing_goes_to_all():
    free = replace(
        decided(money=1.0), offers={"discount": replace(OFFERS["discount"], cost_on_acceptance=0.0)}
    )
    free = replace(free, offers={"discount": replace(free.offers["discount"], contact_cost=0.0)})
    assert reach_of_offers(free, sent(3, 0), RESPONSE[:, :2]) == {"discount": 1.0}


def test_without_its_limits_a_decision_keeps_the_rate_of_its_objective():
    scarce = decided(money=1.0, offers={"upgrade": 3.0}, return_on_cost=0.5)
    assert scarce.limited
    assert scarce.unlimited().prices == Prices(return_on_cost=0.5)
    assert not scarce.unlimited().limited
