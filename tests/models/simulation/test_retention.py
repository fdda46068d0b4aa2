"""The simulated experiment among active customers does what its truth says."""

import numpy as np
import pandas as pd
import pytest

from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import RETENTION_OFFERS, World

HORIZON = 180


@pytest.fixture(scope="module")
def world():
    return simulate(World(scale=0.05, retention=True, churn_horizon_days=HORIZON), seed=2)


def test_each_arm_leaves_as_often_as_its_truth_says(world):
    offers = world.tables["offers"]
    asked = offers[offers["campaign"] == "retention"].merge(world.retention, on="customer_id")
    assert len(asked) == len(world.retention) > 1_000
    left = world.tables["departures"].groupby("customer_id")["departed_at"].min()
    gone = asked["customer_id"].map(left) < asked["offered_at"] + pd.Timedelta(days=HORIZON)
    for name in RETENTION_OFFERS:
        mine = asked["offer"] == name
        chance = 1 - asked.loc[mine, f"stay_probability_{name}"]
        error = np.sqrt((chance * (1 - chance)).sum())
        assert abs(gone[mine].sum() - chance.sum()) < 4 * error
    effect = asked["stay_probability_rebate"] - asked["stay_probability_nothing"]
    assert 0.15 < (effect < -0.05).mean() < 0.3
    assert (effect > 0.02).mean() > 0.5
