import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from winback.models.formula.formula import evaluate, from_files, to_files
from winback.models.uplift.input_rows import choose_control
from winback.models.uplift.uplift import OfferUplift


def experiment(seed, rows=6000, *, own=0.9, base=-0.8):
    """Two offers against none; `mail` works where `age` is high, `gift` where it is low."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "spend": np.exp(rng.normal(3, 1, rows)),
            "city": rng.choice(["north", "south", "west"], rows),
            "noise": rng.normal(size=rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "noise"] = np.nan
    odds = base + 0.5 * (frame["city"] == "north") + 0.3 * (frame["spend"] > 20)
    score = own * (frame["age"] - 40) / 10
    truth = pd.DataFrame(
        {
            name: 1 / (1 + np.exp(-(odds + effect)))
            for name, effect in (("none", 0), ("gift", 0.3 - score), ("mail", 0.3 + score))
        }
    )
    code = rng.integers(0, 3, rows)
    offer = truth.columns.to_numpy()[code]
    outcome = (rng.random(rows) < truth.to_numpy()[np.arange(rows), code]).astype(float)
    return frame, outcome, offer, truth


@pytest.fixture(scope="module")
def fitted():
    frame, outcome, offer, truth = experiment(0)
    model = OfferUplift(folds=3).fit(frame, outcome, offer=offer, propensity=np.full(6000, 1 / 3))
    return model, frame, outcome, offer, truth


def test_crossing_effects_are_found_and_calibrated(fitted):
    model = fitted[0]
    frame, _, _, truth = experiment(1)
    effects = model.predict(frame)
    assert list(effects.columns) == ["gift", "mail"]
    for name in effects:
        true = truth[name] - truth["none"]
        slope, _ = np.polyfit(effects[name], true, 1)
        assert np.corrcoef(effects[name], true)[0, 1] > 0.95
        assert 0.85 < slope < 1.15
        assert abs(effects[name].mean() - true.mean()) < 0.04


def test_choice_by_customer_earns_most_of_what_an_oracle_earns(fitted):
    model = fitted[0]
    frame, _, _, truth = experiment(2)
    chosen = truth.to_numpy()[np.arange(6000), truth.columns.get_indexer(model.recommend(frame))]
    single, oracle = truth.mean().max(), truth.max(axis=1).mean()
    assert model.personalizes_
    assert model.evident_
    assert (chosen.mean() - single) / (oracle - single) > 0.9


def test_the_error_of_the_gain_is_that_of_new_customers_and_not_of_held_out_rows_alone(fitted):
    model = fitted[0]
    effects = np.column_stack([np.zeros(6000), model.held_out_])
    arms = [model.control_, *model.offers_]
    rows, best = np.arange(6000), arms.index(model.best_single_)
    gained = model.scores_[rows, effects.argmax(axis=1)] - model.scores_[:, best]
    assert gained.mean() == pytest.approx(model.gain_, rel=0.2)
    of_rows = gained.std() / np.sqrt(6000)
    # Nadeau & Bengio (2003): a third is held out of what two thirds taught.
    assert model.gain_se_ == pytest.approx(of_rows * np.sqrt(1 + 3 / 2), rel=0.1)


def test_predictions_are_the_formula_and_survive_saving(fitted):
    model, frame = fitted[:2]
    again = evaluate(from_files(to_files(model.formula_)), frame)
    np.testing.assert_array_equal(
        again[["uplift_gift", "uplift_mail"]].to_numpy(), model.predict(frame).to_numpy()
    )


def test_average_of_predicted_effects_is_the_aipw_average(fitted):
    model, frame = fitted[:2]
    np.testing.assert_allclose(
        model.predict(frame).mean(), model.average_effects_["effect"], atol=1e-9
    )


def test_average_effects_agree_with_differences_of_means(fitted):
    model, _, outcome, offer, _ = fitted
    for name, row in model.average_effects_.iterrows():
        plain = outcome[offer == name].mean() - outcome[offer == "none"].mean()
        assert abs(row["effect"] - plain) < row["se"]


def test_means_are_probabilities_and_differ_by_the_effects(fitted):
    model, frame = fitted[:2]
    means = evaluate(model.formula_, frame)[["mean_none", "mean_mail"]]
    effects = model.predict(frame)
    assert means.to_numpy().min() >= 0
    assert means.to_numpy().max() <= 1
    inside = (means["mean_mail"] > 0) & (means["mean_mail"] < 1)
    added = means["mean_mail"] - means["mean_none"]
    np.testing.assert_allclose(added[inside], effects["mail"][inside])


def test_shuffled_rows_and_columns_fit_the_same_bytes(fitted):
    model, frame, outcome, offer, _ = fitted
    order = np.random.default_rng(5).permutation(len(frame))
    again = clone(model).fit(
        frame.iloc[order], outcome[order], offer=offer[order], propensity=np.full(6000, 1 / 3)
    )
    assert to_files(again.formula_) == to_files(model.formula_)
    np.testing.assert_array_equal(again.held_out_.to_numpy(), model.held_out_.to_numpy()[order])
    swapped = frame[frame.columns[::-1]]
    np.testing.assert_array_equal(model.predict(swapped), model.predict(frame))


def test_two_threads_fit_the_same_bytes():
    frame, outcome, offer, _ = experiment(3, 2000)
    files = [
        to_files(OfferUplift(folds=2, threads=threads).fit(frame, outcome, offer=offer).formula_)
        for threads in (1, 2)
    ]
    assert files[0] == files[1]


def test_without_heterogeneity_effects_shrink_to_the_averages_and_one_offer_is_for_all():
    frame, _, offer, truth = experiment(4, 6000)
    rng = np.random.default_rng(6)
    base = truth["none"].to_numpy()
    bonus = pd.Series({"none": 0.0, "gift": 0.05, "mail": 0.12})[offer].to_numpy()
    outcome = (rng.random(6000) < base * 0 + 0.3 + bonus).astype(float)
    model = OfferUplift(folds=3).fit(frame, outcome, offer=offer)
    assert model.predict(frame).std().max() < 0.02
    assert model.best_single_ == "mail"
    assert (model.recommend(frame) == "mail").mean() > 0.99


def test_amounts_that_are_mostly_zero_are_modelled_in_two_parts():
    frame, outcome, offer, truth = experiment(7, 8000, base=-2.5)
    rng = np.random.default_rng(8)
    amount = outcome * np.exp(rng.normal(4, 1, 8000))
    model = OfferUplift(folds=3).fit(frame, amount, offer=offer)
    assert model.weights_.loc["two_part"].sum() > 0
    true = (truth["mail"] - truth["none"]) * np.exp(4.5)
    assert np.corrcoef(model.predict(frame)["mail"], true)[0, 1] > 0.8


def test_unequal_propensities_do_not_bias_the_average():
    rng = np.random.default_rng(9)
    rows = 12000
    risk = rng.random(rows)
    sent = np.where(risk > 0.5, 0.8, 0.2)
    offered = rng.random(rows) < sent
    outcome = (rng.random(rows) < 0.1 + 0.5 * risk + 0.1 * offered).astype(float)
    wide = pd.DataFrame({"none": 1 - sent, "mail": sent})
    offer = np.where(offered, "mail", "none")
    model = OfferUplift(folds=3).fit(risk[:, None], outcome, offer=offer, propensity=wide)
    row = model.average_effects_.loc["mail"]
    assert abs(row["effect"] - 0.1) < 3 * row["se"]
    own = OfferUplift(folds=3).fit(
        risk[:, None], outcome, offer=offer, propensity=np.where(offered, sent, 1 - sent)
    )
    assert own.average_effects_.equals(model.average_effects_)


def test_interval_covers_the_average_effect_of_customers_alike(fitted):
    model = fitted[0]
    frame, _, _, truth = experiment(11)
    effects, (low, high) = model.predict(frame), model.predict_interval(frame, coverage=0.9)
    covered = []
    for offer in effects:
        true = (truth[offer] - truth["none"]).to_numpy()
        for rows in np.array_split(np.argsort(effects[offer].to_numpy()), 10):
            ends = low[offer].to_numpy()[rows].mean(), high[offer].to_numpy()[rows].mean()
            covered.append(ends[0] <= true[rows].mean() <= ends[1])
    assert 0.75 <= np.mean(covered) <= 1
    assert (high - low).to_numpy().mean() < 0.3
    with pytest.raises(ValueError, match="coverage: must lie between 0 and 1, found 2"):
        model.predict_interval(frame, coverage=2)


def test_unknown_propensities_are_the_frequencies():
    frame, outcome, offer, _ = experiment(12, 1500)
    fits = [
        OfferUplift(folds=2).fit(frame, outcome, offer=offer, propensity=one)
        for one in (None, np.full(1500, np.nan))
    ]
    assert fits[0].average_effects_.equals(fits[1].average_effects_)


def test_only_the_learners_asked_for_get_a_weight():
    frame, outcome, offer, _ = experiment(13, 1500)
    model = OfferUplift(folds=2, learners=["x"]).fit(frame, outcome, offer=offer)
    assert list(model.weights_.index) == ["x"]
    with pytest.raises(ValueError, match="found z"):
        OfferUplift(learners=["z"]).fit(frame, outcome, offer=offer)


def test_control_is_the_plausible_name_else_the_first():
    assert choose_control(np.array(["a", "None", "b"]), None) == "None"
    for name in ("Control", "No E-Mail", "no_offer", " NONE ", "0", "False", "Hold-out"):
        assert choose_control(np.array(["1", "Mens E-Mail", name]), None) == name
    assert choose_control(np.array(["b", "a", "c"]), None) == "a"
    assert choose_control(np.array(["b", "a", "c"]), "c") == "c"


def test_formula_is_plain_json(fitted):
    document = json.loads(to_files(fitted[0].formula_)["formula.json"])
    assert document["outputs"][:2] == ["uplift_gift", "uplift_mail"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(y=a["y"][:-1]), "y: expected shape"),
        (lambda a: a.update(y=np.full(300, np.nan)), "y: 300 values are missing or infinite"),
        (lambda a: a.update(offer=np.full(300, "mail")), "at least 2 offers"),
        (
            lambda a: a.update(offer=np.array(["mail", None] * 150, dtype=object)),
            "offer: 150 values are missing; name the control",
        ),
        (
            lambda a: a.update(propensity=np.zeros(300)),
            r"propensity: must lie in \(0, 1\], found 300",
        ),
        (lambda a: a.update(propensity=np.ones(3)), "propensity: expected shape"),
        (
            lambda a: a.update(propensity=pd.DataFrame({"none": np.ones(300)})),
            r"propensity: no column for the offers \['mail'\]",
        ),
        (
            lambda a: a.update(offer=np.array(["mail"] * 290 + ["none"] * 10)),
            r"at least 50 rows per offer are needed, found 'none' \(10\)",
        ),
        (lambda a: a.update(groups=np.arange(3)), "groups: expected shape"),
        (lambda a: a.update(groups=[None, *range(299)]), "groups: 1 labels are missing"),
        (lambda a: a.update(sample_weight=np.ones(3)), "sample_weight: expected shape"),
        (lambda a: a.update(sample_weight=np.zeros(300)), "must be a positive number"),
        (lambda a: a.update(groups=np.arange(300) % 10), "at least 20 are needed .* found 10"),
        (lambda a: a.update(X=np.ones(300)), "two-dimensional array, found 1"),
        (lambda a: a.update(X=pd.DataFrame(index=range(300))), "must have columns.* found none"),
        (
            lambda a: a.update(X=pd.DataFrame(a["X"], columns=["age", "age"])),
            "each of its own name, found age, age",
        ),
    ],
)
def test_bad_rows_are_refused(change, message):
    rng = np.random.default_rng(0)
    arguments = {
        "X": rng.normal(size=(300, 2)),
        "y": rng.integers(0, 2, 300).astype(float),
        "offer": np.array(["mail", "none"] * 150),
        "propensity": None,
        "groups": None,
        "sample_weight": None,
    }
    change(arguments)
    with pytest.raises(ValueError, match=message):
        OfferUplift().fit(
            arguments.pop("X"),
            arguments.pop("y"),
            **arguments,
        )


def test_one_fold_holds_nothing_out():
    with pytest.raises(ValueError, match="folds: must be at least 2, found 1"):
        OfferUplift(folds=1).fit(np.ones((2, 1)), [0, 1], offer=["mail", "none"])


def test_an_absent_control_is_refused():
    with pytest.raises(ValueError, match="the control 'nobody' does not occur"):
        choose_control(np.array(["a", "b"]), "nobody")


def test_missing_or_renamed_columns_are_refused(fitted):
    model, frame = fitted[:2]
    with pytest.raises(ValueError, match="1 columns are missing: age"):
        model.predict(frame.rename(columns={"age": "years"}))


def test_it_is_an_estimator_as_scikit_learn_knows_them(fitted):
    model, frame = fitted[:2]
    assert clone(model).get_params() == model.get_params()
    assert clone(model).set_params(folds=4).folds == 4
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.n_features_in_ == 4
    with pytest.raises(NotFittedError):
        clone(model).predict(frame)
    with pytest.raises(ValueError, match="Invalid parameter 'fold'"):
        model.set_params(fold=4)


@pytest.mark.parametrize("kind", [bool, int, float])
def test_outcomes_and_offers_of_any_kind_fit_the_same(kind):
    frame, outcome, offer, _ = experiment(14, 1500)
    sent = (offer != "none").astype(kind)
    model = OfferUplift(folds=2).fit(frame, outcome.astype(kind), offer=sent)
    assert len(model.offers_) == 1
    assert model.control_ in ("False", "0", "0.0")
    text = np.where(sent.astype(bool), "sent", "control")
    again = OfferUplift(folds=2).fit(frame, outcome, offer=text)
    np.testing.assert_array_equal(model.predict(frame), again.predict(frame))


def test_where_no_gain_is_expected_all_are_recommended_the_best_offer_for_all():
    frame, _, offer, _ = experiment(15, 3000)
    outcome = np.random.default_rng(5).normal(size=3000) + 0.1 * (offer == "mail")
    model = OfferUplift(folds=3).fit(frame, outcome, offer=offer)
    assert not model.personalizes_
    assert not model.evident_
    fresh = experiment(17, 3000)[0]
    assert (model.recommend(fresh) == model.best_single_).all()
