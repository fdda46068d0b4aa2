"""Offers that are doses of one thing: by hand, and on a world whose truth is known."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from winback.models.formula.formula import (
    Formula,
    encode,
    evaluate,
    from_files,
    learn_columns,
    to_files,
)
from winback.models.regression.additive import offer_coding
from winback.models.uplift.doses import (
    DoseFamily,
    families_of,
    rising_means,
    sent_columns,
    smallest_best,
    step_coding,
)
from winback.models.uplift.learners import Experiment, fit_models
from winback.models.uplift.uplift import OfferUplift

DOSES = {"discount": {"off_30": 30.0, "off_10": 10.0, "off_20": 20.0}}
ARMS = ("none", "call", "off_10", "off_20", "off_30")
FAMILY = DoseFamily((2, 3, 4), (10.0, 20.0, 30.0))


def test_families_are_ordered_by_dose_and_hold_what_was_sent():
    assert families_of(DOSES, ARMS) == (FAMILY,)
    assert families_of(DOSES, ("none", "off_30", "off_20")) == (DoseFamily((2, 1), (20.0, 30.0)),)
    assert families_of(DOSES, ("none", "call", "off_20")) == ()


def test_doses_add_steps_to_what_offers_share_and_other_offers_keep_their_own():
    steps = step_coding(offer_coding(5), [FAMILY])
    assert steps.tolist() == [
        [1, -0.5, 0, 0, 0, 0],
        [1, 0.5, 1, 0, 0, 0],
        [1, 0.5, 0, 1, 0, 0],
        [1, 0.5, 0, 1, 1, 0],
        [1, 0.5, 0, 1, 1, 1],
    ]
    np.testing.assert_array_equal(step_coding(offer_coding(5), []), offer_coding(5))
    np.testing.assert_array_equal(step_coding(offer_coding(2), []), offer_coding(2))


def test_boosters_see_a_dose_as_one_number():
    assert sent_columns(5, [FAMILY]).tolist() == [[0, 0], [1, 0], [0, 10], [0, 20], [0, 30]]
    np.testing.assert_array_equal(sent_columns(3, []), np.eye(3)[:, 1:])


def test_averages_rise_with_the_dose_and_follow_rows_that_are_sure():
    falling = np.array([0.20, 0.9, 0.30, 0.28, 0.26])
    smooth = rising_means(falling, np.full(5, 0.02), FAMILY)
    assert (np.diff(smooth[1:]) >= 0).all()
    assert smooth[0] < 0.22  # the other offer has no say
    assert smooth[1:] == pytest.approx(0.28, abs=0.02)
    steps = np.array([0.20, 0.9, 0.21, 0.35, 0.36])
    np.testing.assert_allclose(rising_means(steps, np.full(5, 1e-4), FAMILY), steps[[0, 2, 3, 4]],
                               atol=1e-3)  # fmt: skip
    np.testing.assert_array_equal(rising_means(steps, np.zeros(5), FAMILY), steps[[0, 2, 3, 4]])


def test_doses_may_all_do_harm():
    means = np.array([0.8, 0.9, 0.7, 0.6, 0.5])
    rising = rising_means(means, np.full(5, 0.01), FAMILY)
    assert rising[0] == pytest.approx(0.8, abs=0.01)
    assert rising[1:] == pytest.approx(0.6, abs=0.01)  # none is known to do less than the last


def test_of_doses_that_are_alike_the_smallest_is_best():
    assert smallest_best(np.array([0.1, 0.2, 0.3, 0.3, 0.3]), [FAMILY]) == 2
    assert smallest_best(np.array([0.1, 0.2, 0.1, 0.1, 0.3]), [DoseFamily((4, 2), (1, 9))]) == 4
    assert smallest_best(np.array([0.3, 0.2, 0.3, 0.3, 0.3]), [FAMILY]) == 0


def test_doses_that_do_harm_are_sent_to_nobody():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3_000, 3))).add_prefix("x")
    offer = rng.choice(["none", "off_10", "off_20"], len(X))
    stays = rng.random(len(X)) < pd.Series(offer).map({"none": 0.8, "off_10": 0.7, "off_20": 0.6})
    doses = {"discount": {"off_10": 10.0, "off_20": 20.0}}
    model = OfferUplift(doses=doses, folds=3).fit(X, stays.astype(float), offer=offer)
    assert (model.average_effects_["effect"] < -0.05).all()
    assert model.best_single_ == "none"
    assert (model.recommend(X) == "none").mean() > 0.95


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_averages_of_doses_lend_each_other_strength(power):
    rng = np.random.default_rng(0)
    truth = 0.2 + 0.1 * np.array([0.0, 0.0, 1 / 3, 2 / 3, 1.0]) ** power
    errors = {"as they are": [], "smoothed": []}
    for _ in range(300):
        means = truth + rng.normal(0, 0.02, 5)
        smooth = rising_means(means, np.full(5, 0.02), FAMILY)
        for name, found in (("as they are", means[[0, 2, 3, 4]]), ("smoothed", smooth)):
            effect = found[1:] - found[0]
            errors[name].append(np.mean((effect - truth[2:] + truth[0]) ** 2))
    assert np.mean(errors["smoothed"]) < 0.8 * np.mean(errors["as they are"])


def vouchers(seed, rows=4_000):
    """Three depths; each customer has a ceiling and a pace of his own."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(rows, 6))).add_prefix("x")
    odds = -1.2 + 0.5 * X["x0"]
    ceiling, half = (1.2 + 0.8 * X["x1"]).clip(lower=0), 15 * np.exp(0.8 * X["x2"])
    doses = {"none": 0.0, **dict(sorted(DOSES["discount"].items()))}
    truth = pd.DataFrame(
        {name: 1 / (1 + np.exp(-odds - ceiling * d / (d + half))) for name, d in doses.items()}
    )
    code = rng.integers(0, 4, rows)
    outcome = (rng.random(rows) < truth.to_numpy()[np.arange(rows), code]).astype(float)
    return X, outcome, truth.columns.to_numpy()[code], truth


@pytest.fixture(scope="module")
def fitted():
    """Models told of the doses and not, of several tables, with the errors of their effects."""
    scored, _, _, truth = vouchers(99, 5_000)
    true = truth.sub(truth["none"], axis=0)
    found = []
    for seed in range(3):
        X, outcome, offer, _ = vouchers(seed)
        for doses in (DOSES, None):
            model = OfferUplift(doses=doses, folds=3).fit(X, outcome, offer=offer)
            effects = model.predict(scored)
            error = np.sqrt(np.mean((effects - true[effects.columns]).to_numpy() ** 2))
            found.append({"told": doses is not None, "error": error, "model": model})
    return pd.DataFrame(found), scored


def test_effects_are_more_accurate_where_doses_are_told(fitted):
    errors = fitted[0].groupby("told")["error"].mean()
    assert errors[True] < 0.95 * errors[False]


def test_average_effects_rise_and_are_those_of_the_formula_which_survives_saving(fitted):
    table, scored = fitted
    model = table.loc[table["told"], "model"].iloc[0]
    effects = model.average_effects_["effect"]
    assert effects.index.tolist() == ["off_10", "off_20", "off_30"]
    assert (np.diff(effects) >= 0).all()
    X = vouchers(0)[0]
    np.testing.assert_allclose(model.predict(X).mean(), effects, atol=1e-9)
    again = evaluate(from_files(to_files(model.formula_)), scored)
    told = model.predict(scored)
    np.testing.assert_array_equal(again[[f"uplift_{name}" for name in told]], told)


def test_boosters_of_doses_say_in_a_formula_what_they_say_in_training():
    X, outcome, offer, truth = vouchers(5, 1_500)
    columns = learn_columns(X)
    experiment = Experiment(
        columns=columns,
        matrix=encode(columns, X),
        outcome=outcome,
        arm=truth.columns.get_indexer(offer),
        propensity=np.full(len(X), 0.25),
        offers=4,
        weight=np.ones(len(X)),
        groups=None,
        seed=0,
        families=families_of(DOSES, tuple(truth.columns)),
    )
    models = fit_models(experiment, np.arange(len(X)), learners=["s"])
    boosters = {}
    expressions = dict(enumerate(models.expressions(experiment, "s", boosters)))
    formula = Formula(
        columns=columns,
        expressions={f"mean {code}": found for code, found in expressions.items()},
        outputs=tuple(f"mean {code}" for code in expressions),
        boosters=boosters,
    )
    booster = lgb.Booster(model_str=formula.boosters["s.txt"])
    assert booster.num_feature() == 7  # six of the customer, one of all doses
    means = models.means(experiment, ["s"], np.arange(len(X)))["s"]
    assert (means[:, 3] - means[:, 0]).std() > 0.05
    np.testing.assert_allclose(evaluate(formula, X), means, atol=1e-9)


def test_doses_that_are_no_family_are_refused():
    X, outcome, offer, _ = vouchers(7, 1_000)
    with pytest.raises(ValueError, match="'off_10' and 'off_20' have the same dose 10"):
        OfferUplift(doses={"discount": {"off_10": 10, "off_20": 10}}).fit(X, outcome, offer=offer)
    with pytest.raises(ValueError, match="'none' is not among the offers"):
        OfferUplift(doses={"discount": {"none": 1, "off_20": 10}}).fit(X, outcome, offer=offer)
