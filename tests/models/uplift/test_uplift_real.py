import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winback.models.uplift.uplift import OfferUplift

PATH = Path(
    os.environ.get("HILLSTROM", Path(__file__).parents[4] / "shared/data/hillstrom.parquet")
)
pytestmark = pytest.mark.skipif(
    not PATH.exists(), reason="the e-mail experiment is absent; name its file in HILLSTROM"
)


@pytest.fixture(scope="module")
def halves():
    frame = pd.read_parquet(PATH)
    half = np.random.default_rng(0).random(len(frame)) < 0.5
    return frame[half], frame[~half]


def fit(frame, outcome):
    features = frame.drop(columns=["segment", "visit", "conversion", "spend"])
    model = OfferUplift(control="No E-Mail")
    return model.fit(
        features,
        frame[outcome],
        offer=frame["segment"],
        propensity=np.full(len(frame), 1 / 3),
    ), features


def test_averages_are_the_published_differences(halves):
    frame = pd.concat(halves)
    model, _ = fit(frame, "visit")
    found = model.average_effects_
    for offer, published in (("Mens E-Mail", 0.07659), ("Womens E-Mail", 0.04523)):
        assert abs(found.loc[offer, "effect"] - published) < 0.5 * found.loc[offer, "se"]
    assert model.best_single_ == "Mens E-Mail"


@pytest.mark.parametrize("outcome", ["visit", "spend"])
def test_the_recommendation_is_not_below_the_best_offer_for_all_beyond_noise(halves, outcome):
    train, test = halves
    model, _ = fit(train, outcome)
    features = test.drop(columns=["segment", "visit", "conversion", "spend"])
    sent, result = test["segment"].to_numpy(), test[outcome].to_numpy(dtype=float)
    chosen = model.recommend(features)
    weight = (sent == chosen).astype(float) - (sent == model.best_single_)
    gain = 3 * weight * result
    assert gain.mean() >= -2 * gain.std() / np.sqrt(len(gain))
