"""Effects carried to other customers in points of probability or in log odds."""

import numpy as np
import pandas as pd
import pytest

from winback.models.decision.carry_over import gain_in_log_odds
from winback.models.offers import Offer

OFFERS = {"discount": Offer(120.0, 1.0), "gift": Offer(10.0, 2.0)}


def customers(alone, uplift, offer):
    frame = pd.DataFrame({"recommended_offer": offer, "return_probability_none": alone})
    for name in OFFERS:
        frame[f"uplift_{name}"] = uplift
        frame[f"return_probability_{name}"] = frame["return_probability_none"] + uplift
        frame[f"value_{name}"] = 500.0
    return frame.assign(value_none=500.0)


def forecast(frame):
    """The gain as the model forecasts it, effects added."""
    profit = [
        OFFERS[offer].expected_profit(row[f"return_probability_{offer}"], 500.0)
        for offer, (_, row) in zip(frame["recommended_offer"], frame.iterrows(), strict=True)
    ]
    return np.array(profit) - 500.0 * frame["return_probability_none"].to_numpy()


def test_at_the_base_of_the_experiment_both_ways_agree():
    frame = customers([0.15, 0.15], 0.3, ["discount", "gift"])
    found = gain_in_log_odds(frame, offers=OFFERS, control="none", base=0.15)
    assert found == pytest.approx(forecast(frame))


def test_whoever_hardly_returns_unasked_gains_less_in_log_odds():
    frame = customers([0.02, 0.4], [0.3, 0.3], ["gift", "gift"])
    found = gain_in_log_odds(frame, offers=OFFERS, control="none", base=0.15)
    assert found[0] < forecast(frame)[0]
    assert found[1] > forecast(frame)[1]


def test_no_effect_gains_nothing_but_the_costs():
    frame = customers([0.02], 0.0, ["gift"])
    found = gain_in_log_odds(frame, offers=OFFERS, control="none", base=0.15)
    assert found == pytest.approx([-0.02 * 10.0 - 2.0])
