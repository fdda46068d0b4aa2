import numpy as np
import pandas as pd
import pytest

from winback.models.uplift.uplift import OfferUplift


def households(seed, *, size=4, number=400, alike=0.6):
    """Households that are all sent the same and whose outcomes go together; no effect."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(number), size)
    frame = pd.DataFrame(rng.normal(size=(number, 3))).add_prefix("x").iloc[group]
    shared = rng.normal(size=number)[group] * np.sqrt(alike)
    outcome = shared + rng.normal(size=len(group)) * np.sqrt(1 - alike)
    offer = np.where(rng.random(number) < 0.5, "mail", "none")[group]
    return frame.reset_index(drop=True), outcome, offer, group


def test_households_without_an_effect_show_none_and_errors_are_theirs():
    spread, errors, evident = {True: [], False: []}, {True: [], False: []}, 0
    for seed in range(4):
        frame, outcome, offer, group = households(seed)
        for given in (True, False):
            model = OfferUplift(folds=2).fit(
                frame, outcome, offer=offer, groups=group if given else None
            )
            spread[given].append(model.held_out_["mail"].std())
            errors[given].append(model.average_effects_.loc["mail", "se"])
            evident += given and model.evident_
    assert np.mean(spread[True]) < 0.3 * np.mean(spread[False])
    assert np.mean(errors[True]) > 1.4 * np.mean(errors[False])
    assert evident == 0


def test_the_order_of_rows_does_not_matter():
    frame, outcome, offer, group = households(7, number=200)
    model = OfferUplift(folds=2).fit(frame, outcome, offer=offer, groups=group)
    order = np.random.default_rng(8).permutation(len(frame))
    again = OfferUplift(folds=2).fit(
        frame.iloc[order],
        outcome[order],
        offer=offer[order],
        groups=group[order],
    )
    np.testing.assert_array_equal(model.held_out_.to_numpy()[order], again.held_out_.to_numpy())


def test_average_effects_are_those_of_the_customers_that_rows_stand_for():
    rng = np.random.default_rng(9)
    young = rng.random(6000) < 0.5
    offer = rng.choice(["none", "mail"], 6000)
    outcome = 1.0 * (offer == "mail") * young + 0.5 * rng.normal(size=6000)
    frame = pd.DataFrame({"young": young.astype(float), "noise": rng.normal(size=6000)})
    weight = np.where(young, 3.0, 1.0)  # three in four customers are young
    plain, weighted = (
        OfferUplift(folds=2).fit(frame, outcome, offer=offer, sample_weight=one)
        for one in (None, weight)
    )
    assert plain.average_effects_.loc["mail", "effect"] == pytest.approx(0.5, abs=0.05)
    assert weighted.average_effects_.loc["mail", "effect"] == pytest.approx(0.75, abs=0.05)
    effect = weighted.predict(frame)["mail"]
    assert effect[young].mean() == pytest.approx(1.0, abs=0.06)


def test_a_feature_of_twenty_shops_is_learned_from_with_errors_of_shops():
    """Bands of like effects then lie within few shops."""
    rng = np.random.default_rng(11)
    shop = np.repeat(np.arange(20), 60)
    frame = pd.DataFrame({"price": rng.normal(size=20)[shop], "age": rng.normal(size=1_200)})
    offer = rng.choice(["mail", "none"], 1_200)
    outcome = rng.normal(size=1_200) + (offer == "mail") * frame["price"]
    model = OfferUplift().fit(frame, outcome, offer=offer, groups=shop)
    assert model.bands_["units"].min() >= 5
    assert np.isfinite(model.bands_["se"]).all()


def test_weighted_rows_are_told_the_effects_that_the_shipped_formula_tells():
    """The average is that of the customers whom the rows stand for, out of fold too."""
    rng = np.random.default_rng(12)
    x = rng.integers(0, 2, 3_000)
    weight = np.where(x == 1, 4.0, 1.0)
    offer = rng.choice(["a", "b", "none"], 3_000)
    effect = np.where(offer == "a", 2.0 * x, np.where(offer == "b", 0.4, 0.0))
    outcome = effect + rng.normal(size=3_000)
    frame = pd.DataFrame({"x": x})
    model = OfferUplift(folds=2).fit(frame, outcome, offer=offer, sample_weight=weight)
    told = np.average(model.held_out_, axis=0, weights=weight)
    np.testing.assert_allclose(told, model.average_effects_["effect"], atol=1e-9)
    assert model.personalizes_
    assert set(model.recommend(pd.DataFrame({"x": [0, 1]}))) == {"a", "b"}
    low, high = model.predict_interval(pd.DataFrame({"x": [0, 1]}))
    assert ((low["a"] < [0.1, 2.1]) & (high["a"] > [-0.1, 1.9])).all()
