"""Ageing and tuning of the churn model: windows of equal size, and an untouched test part."""

import numpy as np
import pandas as pd
import pytest

from winback.models.churn import staleness as module
from winback.models.churn.staleness import staleness
from winback.models.churn.tuning import tune_churn
from winback.models.regression.blend import Boosting

SMALL = Boosting(rounds=30, num_leaves=6, learning_rate=0.1)


def drifting(customers=400, dates=20, seed=0):
    """What drives leaving moves from one feature to the other within a year and a half."""
    rng = np.random.default_rng(seed)
    rows = customers * dates
    month = np.tile(np.arange(dates), customers)
    as_of = pd.Timestamp("2023-01-01") + pd.to_timedelta(month * 30, unit="D")
    frame = pd.DataFrame({"old": rng.normal(size=rows), "new": rng.normal(size=rows)})
    share = month / (dates - 1)
    score = -1 + 2 * ((1 - share) * frame["old"] + share * frame["new"])
    return frame.assign(
        customer_id=np.repeat(np.arange(customers), dates),
        as_of=as_of.astype("datetime64[us]"),
        churned=(rng.random(rows) < 1 / (1 + np.exp(-score))).astype(int),
    )


def test_an_older_model_ranks_worse_in_a_world_that_moves():
    table = staleness(drifting(), features=["old", "new"], gap_days=30, boosting=SMALL, seed=0)
    assert table["months_older"].tolist() == [0, 1, 3, 6, 12]
    assert table["rows"].nunique() == 1
    assert table["auc"].iloc[0] > table["auc"].iloc[3] > table["auc"].iloc[4]
    assert table["gain_hi"].iloc[4] < 0
    assert (table["trained_until"].diff().dropna() < pd.Timedelta(0)).all()


def test_ages_without_dates_are_left_out():
    frame = drifting(dates=8)
    table = staleness(frame, features=["old", "new"], gap_days=30, boosting=SMALL, seed=0)
    assert table["months_older"].tolist() == [0, 1, 3]
    none = staleness(frame, features=["old"], gap_days=9999, boosting=SMALL, seed=0)
    assert none.empty
    assert list(none.columns) == list(table.columns)


def test_ages_without_leavers_or_without_stayers_are_left_out():
    frame = drifting(dates=8)
    arguments = {"features": ["old", "new"], "gap_days": 30, "seed": 0}
    early = frame["as_of"] < frame["as_of"].min() + pd.Timedelta(days=75)
    frame.loc[early, "churned"] = 0
    table = staleness(frame, boosting=SMALL, **arguments)
    assert table["months_older"].tolist() == [0, 1]
    assert table["gain"].tolist()[0] == 0
    nobody = staleness(frame.assign(churned=0), boosting=SMALL, **arguments)
    assert nobody.empty
    assert list(nobody.columns) == list(table.columns)


def test_a_sample_takes_the_same_share_of_customers_at_every_age(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 600)
    table = staleness(drifting(), features=["old", "new"], gap_days=30, boosting=SMALL, seed=0)
    assert table["rows"].between(400, 800).all()
    assert table["rows"].nunique() == 1


def test_tuning_ranks_settings_and_never_reads_the_test_part():
    frame = drifting(dates=12)
    arguments = {"features": ["old", "new"], "gap_days": 30, "fits": 4, "start": SMALL, "seed": 3}
    arguments |= {"calibrate_share": 0.15, "test_share": 0.2}
    table = tune_churn(frame, **arguments)
    assert len(table) == 4
    assert table["log_loss"].is_monotonic_increasing
    assert 30 in table["rounds"].tolist()
    spoiled = frame.copy()
    late = spoiled["as_of"] >= np.sort(spoiled["as_of"].unique())[-2]
    spoiled.loc[late, "churned"] = 1 - spoiled.loc[late, "churned"]
    pd.testing.assert_frame_equal(tune_churn(spoiled, **arguments), table)
    with pytest.raises(ValueError, match="at least 1, found 0"):
        tune_churn(frame, **(arguments | {"fits": 0}))
    with pytest.raises(ValueError, match=r"the train part has 0 leavers in .* take more as-of dat"):
        tune_churn(frame.assign(churned=0), **arguments)
