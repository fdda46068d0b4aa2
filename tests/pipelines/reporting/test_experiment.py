"""Headlines of the chapter on the experiment claim a lead only where it is beyond noise."""

import pandas as pd
import pytest

from winback.models.evaluation.survival import Survival
from winback.pipelines.reporting.experiment import _headline, _power, _stayed


def levels(*rows):
    return pd.DataFrame(rows, columns=["arm", "outcome", "estimate", "se"])


def test_arms_that_lead_are_named_and_noise_is_called_noise():
    rates = [("none", "returned", 0.1, 0.01), ("gift", "returned", 0.3, 0.01)]
    profit = [("none", "profit", 5.0, 1.0), ("gift", "profit", 6.0, 1.0)]
    assert _headline(levels(*rates), "none") == "Gift brought most customers back"
    told = _headline(levels(*rates, *profit), "none")
    assert told == "Gift brought most customers back and earned most (within noise)"
    worse = [("none", "returned", 0.3, 0.01), ("gift", "returned", 0.1, 0.01)]
    assert _headline(levels(*worse), "none") == "Gift brought most customers back (within noise)"


@pytest.mark.parametrize(
    ("months", "told"),
    [
        ({"none": 12.0, "gift": 17.0}, "Those who came back with gift stayed longest: 17.0 of 24"),
        ({"none": 16.5, "gift": 17.0}, "How long those who came back stayed differs by no more"),
        ({"gift": 17.0}, "Those who came back with gift stayed longest"),
    ],
)
def test_who_stayed_longest_is_told_beyond_noise(months, told):
    means = {name: Survival(pd.DataFrame(), mean, 0.5, 100) for name, mean in months.items()}
    assert _stayed(means, 24).startswith(told)


def test_the_effect_that_every_arm_would_have_shown_is_that_of_the_readout():
    columns = ["arm", "outcome", "adjusted", "smallest_detectable"]
    rows = [
        ("gift", "returned", False, 0.021),
        ("mail", "returned", False, 0.034),
        ("mail", "profit", False, 7.5),
        ("mail", "returned", True, 0.029),
    ]
    assert _power(pd.DataFrame(rows, columns=columns)).endswith("changes the share by 0.034.")
