"""What an offer costs and earns, by hand."""

import numpy as np
import pytest

from winback.models.offers import Offer, check_doses, expected_costs, with_control


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


@pytest.mark.parametrize(
    ("doses", "message"),
    [
        ({"d": {"a": 1}}, "doses.d: must have at least two offers, found 1"),
        ({"d": {"a": 1, "c": 2}}, "doses.d: 'c' is not among the offers a, b, e"),
        ({"d": {"a": 1, "b": -2}}, "doses.d.b: must be a number above 0, found -2"),
        ({"d": {"a": 0, "b": 2}}, "doses.d.a: must be a number above 0, found 0"),
        ({"d": {"a": 1, "b": float("nan")}}, "doses.d.b: must be a number above 0, found nan"),
        ({"d": {"a": 2, "b": 2.0}}, "doses.d: 'a' and 'b' have the same dose 2"),
        ({"d": {"a": 1, "b": 2}, "f": {"b": 1, "e": 2}}, "doses.f: 'b' stands in family 'd'"),
    ],
)
def test_doses_that_are_no_family_are_refused(doses, message):
    with pytest.raises(ValueError, match=message):
        check_doses(doses, {"a", "b", "e"})


def test_families_of_doses_are_accepted():
    check_doses({"d": {"a": 10, "b": 2.5}}, {"a", "b", "e"})
    check_doses({}, {"a"})
