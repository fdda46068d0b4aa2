"""Answers of lost customers to offers, drawn from the truth: they agree with it on average."""

import numpy as np
import pandas as pd
import pytest

from winback.models.simulation.campaign import draw_responses
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import OFFER_COST, OFFERS, World

WORLD = World(scale=0.05)
DRAWS = 100_000


@pytest.fixture(scope="module")
def lost() -> pd.DataFrame:
    truth = simulate(WORLD, seed=3).truth
    rows = truth[truth["population"] == "lost"]
    return rows.sample(DRAWS, replace=True, random_state=1)


@pytest.mark.parametrize("offer", OFFERS)
def test_answers_agree_with_the_truth_on_average(lost: pd.DataFrame, offer: str) -> None:
    drawn = draw_responses(lost, [offer] * DRAWS, world=WORLD, rng=np.random.default_rng(2))
    contact = 0.0 if offer == "none" else WORLD.contact_cost
    expected = {
        "returned": lost[f"return_probability_{offer}"],
        "value": lost[f"return_probability_{offer}"] * lost[f"value_{offer}"],
        "profit": lost[f"profit_{offer}"],
    }
    drawn["profit"] = drawn["value"] - drawn["offer_cost"] - contact
    for name, mean in expected.items():
        gap = drawn[name].astype(float) - mean
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(DRAWS), name
    back = drawn[drawn["returned"]]
    assert (back["offer_cost"] == OFFER_COST[offer]).all()
    assert back["days_to_return"].between(0, WORLD.return_window_days).all()
    # Returns are worth different sums, not their expectation.
    assert back["value"].std() > 200


def test_who_stays_away_brings_and_costs_nothing(lost: pd.DataFrame) -> None:
    sent = np.resize(np.array(OFFERS), DRAWS)
    drawn = draw_responses(lost, sent, world=WORLD, rng=np.random.default_rng(2))
    away = drawn[~drawn["returned"]]
    assert not away[["value", "offer_cost"]].any(axis=None)
    assert away["days_to_return"].isna().all()
    assert drawn["returned"].dtype == bool
    assert drawn.index.equals(lost.index)
    drawn.index = range(DRAWS)
    again = draw_responses(lost, sent, world=WORLD, rng=np.random.default_rng(2))
    pd.testing.assert_frame_equal(drawn, again.reset_index(drop=True))


def test_offers_that_fit_no_customer_are_refused(lost: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="an offer for each of 100000 customers is needed, found"):
        draw_responses(lost, ["none"], world=WORLD, rng=rng)
    with pytest.raises(ValueError, match=r"must be among none, discount, .*, found gift"):
        draw_responses(lost, ["gift"] * DRAWS, world=WORLD, rng=rng)
