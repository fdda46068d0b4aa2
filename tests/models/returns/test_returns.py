import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import evaluate, to_files
from winback.models.offers import Offer
from winback.models.returns.returns import fit_winback

ROWS = 8000
OFFERS = {"none": Offer(0.0, 0.0), "discount": Offer(20.0, 1.0), "gift": Offer(5.0, 1.0)}


def campaign(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"loyalty": rng.normal(size=ROWS), "bill": rng.gamma(4, 10, ROWS)})
    frame["reason"] = rng.choice(["price", "service"], ROWS)
    base = -1.5 + 0.6 * frame["loyalty"]
    price = (frame["reason"] == "price").astype(float)
    chance = pd.DataFrame(
        {
            name: 1 / (1 + np.exp(-(base + effect)))
            for name, effect in (
                ("none", 0),
                ("discount", 0.3 + 1.2 * price),
                ("gift", 1.0 - 0.8 * price),
            )
        }
    )
    worth = pd.DataFrame(dict.fromkeys(chance, 60 + 2 * frame["bill"]))
    worth["discount"] *= 0.8
    code = rng.integers(0, 3, ROWS)
    rows = np.arange(ROWS)
    returned = (rng.random(ROWS) < chance.to_numpy()[rows, code]).astype(float)
    value = np.where(returned > 0, worth.to_numpy()[rows, code] * rng.gamma(4, 0.25, ROWS), np.nan)
    return frame, chance.columns.to_numpy()[code], returned, value, chance, worth


def fit(seed, **changes):
    frame, offer, returned, known, *_ = campaign(seed)
    arguments = {
        "offer": offer,
        "propensity": np.full(ROWS, 1 / 3),
        "returned": returned,
        "offers": OFFERS,
        "control": "none",
        "value": known,
        "folds": 3,
    }
    return fit_winback(frame, **arguments | changes)


@pytest.fixture(scope="module")
def model():
    return fit(0)


def test_outputs_are_named_by_offer(model):
    assert list(model.formula.outputs) == [
        "return_probability_none",
        "return_probability_discount",
        "return_probability_gift",
        "uplift_discount",
        "uplift_gift",
        "value_none",
        "value_discount",
        "value_gift",
        "expected_profit_none",
        "expected_profit_discount",
        "expected_profit_gift",
    ]


def test_profit_is_accepted_margin_less_contact(model):
    found = evaluate(model.formula, campaign(1)[0])
    for name, offer in OFFERS.items():
        accepted, contact = offer.cost_on_acceptance, offer.contact_cost
        by_hand = (
            found[f"return_probability_{name}"] * (found[f"value_{name}"] - accepted) - contact
        )
        np.testing.assert_allclose(found[f"expected_profit_{name}"], by_hand)


def test_probability_of_an_offer_is_the_one_without_plus_the_uplift(model):
    for found in (evaluate(model.formula, campaign(1)[0]), model.held_out):
        total = found["return_probability_none"] + found["uplift_gift"]
        np.testing.assert_allclose(found["return_probability_gift"], total.clip(0, 1))


def test_return_and_value_are_near_the_truth(model):
    frame, _, _, _, chance, worth = campaign(2)
    found = evaluate(model.formula, frame)
    for name in OFFERS:
        error = found[f"return_probability_{name}"] - chance[name]
        assert abs(error.mean()) < 0.02
        assert np.sqrt((error**2).mean()) < 0.05
        assert abs(found[f"value_{name}"].mean() / worth[name].mean() - 1) < 0.08
    assert np.corrcoef(found["value_gift"], worth["gift"])[0, 1] > 0.95
    assert found["value_discount"].mean() < found["value_gift"].mean()


def test_held_out_rows_are_calibrated(model):
    _, offer, returned, *_ = campaign(0)
    for name in OFFERS:
        sent = offer == name
        predicted = model.held_out[f"return_probability_{name}"].to_numpy()[sent]
        for low in (True, False):
            half = (predicted <= np.median(predicted)) == low
            error = predicted[half].mean() - returned[sent][half].mean()
            assert abs(error) < 0.04


def test_shuffled_rows_fit_the_same_bytes():
    frame, offer, returned, value, *_ = campaign(4)
    rng = np.random.default_rng(1)
    days, ended = rng.exponential(400, ROWS), (rng.random(ROWS) < 0.7).astype(float)
    files, held_out = [], []
    for order in (np.arange(ROWS), rng.permutation(ROWS)):
        model = fit_winback(
            frame.iloc[order],
            offer=offer[order],
            propensity=np.full(ROWS, 1 / 3),
            returned=returned[order],
            value=value[order],
            second_days=days[order],
            second_ended=ended[order],
            horizon_days=730,
            offers=OFFERS,
            control="none",
            folds=2,
        )
        files.append(to_files(model.formula))
        held_out.append(model.held_out.sort_index())
    assert files[0] == files[1]
    pd.testing.assert_frame_equal(held_out[0], held_out[1])


def test_without_values_there_is_no_money():
    found = fit(3, value=np.full(ROWS, np.nan)).formula.outputs
    assert not [name for name in found if name.startswith(("value", "expected"))]


def test_an_offer_without_costs_is_refused():
    frame, offer, returned, *_ = campaign(0)
    with pytest.raises(ValueError, match=r"no costs for \['gift'\]"):
        fit_winback(
            frame,
            offer=offer,
            propensity=None,
            returned=returned,
            offers={"discount": Offer(1.0, 0.0)},
            control="none",
        )


def test_an_outcome_that_is_not_0_or_1_is_refused():
    frame, offer, returned, *_ = campaign(0)
    with pytest.raises(ValueError, match="returned: every value must be 0 or 1"):
        fit_winback(
            frame,
            offer=offer,
            propensity=None,
            returned=returned * 2,
            offers=OFFERS,
            control="none",
        )


def test_effects_are_those_of_the_estimator_whatever_a_test_on_returns_says():
    frame, offer, _, *_ = campaign(0)
    returned = (np.random.default_rng(0).random(ROWS) < 0.2 + 0.05 * (offer == "gift")).astype(
        float
    )
    found = fit(0, returned=returned, value=None)
    told = ["uplift_discount", "uplift_gift"]
    shipped = evaluate(found.formula, frame)[told]
    np.testing.assert_array_equal(shipped, found.uplift.predict(frame))
    np.testing.assert_array_equal(found.held_out[told], found.uplift.held_out_)
    averages = found.uplift.average_effects_["effect"]
    np.testing.assert_allclose(shipped.mean(), averages, atol=1e-9)
