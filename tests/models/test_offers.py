"""What an offer costs and earns, by hand."""

import numpy as np
import pytest

from winback.models.offers import Offer, expected_costs, with_control


def test_money_of_an_offer_is_paid_on_acceptance_and_on_contact():
    offer = Offer(cost_on_acceptance=120.0, contact_cost=2.0)
    assert offer.expected_cost(0.25) == 32.0
    assert offer.expected_profit(0.25, 200.0) == 18.0
    assert offer.cents_on_acceptance == 12_000


def test_the_control_stands_first_and_costs_nothing():
    options = with_control({"gift": Offer(10.0, 0.5)}, "none")
    assert list(options) == ["none", "gift"]
    found = expected_costs(options, np.array([[0.5, 0.5], [0.0, 1.0]]))
    assert found.tolist() == [[0.0, 5.5], [0.0, 10.5]]


@pytest.mark.parametrize("name", ["cost_on_acceptance", "contact_cost"])
def test_negative_money_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0, found -1"):
        Offer(**{name: -1.0})
