"""The churn model: right order of parts, honest probabilities, same bytes, clear refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winback.models.churn.baselines import alert_rule, rfm_logistic
from winback.models.churn.churn import fit_churn
from winback.models.churn.shipped import fit_shipped
from winback.models.formula.formula import evaluate, to_files
from winback.models.regression.blend import Boosting

SMALL = Boosting(rounds=60, learning_rate=0.1, num_leaves=8)
FEATURES = (
    "days_since_last_order",
    "orders_360d",
    "spend_360d",
    "mean_days_between_orders",
    "complaints_180d",
    "departure_reason",
    "noise",
)


def snapshots(customers=700, dates=10, seed=0):
    rng = np.random.default_rng(seed)
    rows = customers * dates
    as_of = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(dates) * 30, unit="D")
    frame = pd.DataFrame(
        {
            "customer_id": np.repeat(np.arange(customers), dates),
            "as_of": np.tile(as_of, customers).astype("datetime64[us]"),
            "days_since_last_order": rng.exponential(40, rows).round(),
            "orders_360d": rng.poisson(6, rows).astype(float),
            "mean_days_between_orders": rng.choice([15.0, 30.0, np.nan], rows),
            "complaints_180d": rng.poisson(0.3, rows).astype(float),
            "departure_reason": rng.choice(["price", "service", None], rows),
            "noise": rng.normal(size=rows),
        }
    )
    frame["spend_360d"] = frame["orders_360d"] * rng.uniform(10, 30, rows)
    score = -3 + frame["days_since_last_order"] / 30 + 1.5 * (frame["complaints_180d"] > 0)
    score -= 0.1 * frame["orders_360d"]
    frame["truth"] = 1 / (1 + np.exp(-score))
    frame["churned"] = (rng.random(rows) < frame["truth"]).astype(int)
    return frame


def fit(frame, **changes):
    arguments = {
        "features": FEATURES,
        "gap_days": 60,
        "boosting": SMALL,
        "repeats": 20,
        "seed": 1,
        **changes,
    }
    return fit_churn(frame, **arguments)


def ship(frame):
    return fit_shipped(
        frame, features=FEATURES, gap_days=60, boosting=SMALL, calibrate_share=0.15, seed=1
    )


@pytest.fixture(scope="module")
def frame():
    return snapshots()


@pytest.fixture(scope="module")
def model(frame):
    return fit(frame)


def overall(model, name="churn"):
    table = model.metrics[(model.metrics["slice"] == "all") & (model.metrics["model"] == name)]
    return table.set_index("metric")


def test_probabilities_are_near_the_truth_on_fresh_customers(model):
    fresh = snapshots(seed=9)
    found = model.predict(fresh)
    assert np.abs(found - fresh["truth"]).mean() < 0.06
    assert np.corrcoef(found, fresh["truth"])[0, 1] > 0.93


def test_the_model_beats_both_baselines_beyond_noise(model):
    for name in ("rfm_logistic", "alert_rule"):
        assert overall(model, name).loc["auc", "gain_hi"] < 0
        assert overall(model, name).loc["log_loss", "gain_lo"] > 0
    assert overall(model).loc["auc", "lo"] > 0.7


def test_the_best_cutoff_earns_more_than_that_of_the_baselines(model):
    cutoffs = model.cutoffs.set_index("model")
    assert set(cutoffs.index) == {"churn", "rfm_logistic", "alert_rule"}
    assert cutoffs["profit"].idxmax() == "churn"
    assert 0 < cutoffs.loc["churn", "share"] < 1
    assert 0 < cutoffs.loc["churn", "threshold"] < 1


def test_grades_stand_on_the_test_part_alone(frame, model):
    parts = model.parts.set_index("part")
    for part in ("train", "calibrate"):
        assert parts.loc[part, "last"] <= parts.loc["test", "first"] - pd.Timedelta(days=60)
    tested = frame[frame["as_of"] >= parts.loc["test", "first"]]
    assert parts.loc["test", "rows"] == len(tested)
    brier = np.mean((model.predict(tested) - tested["churned"]) ** 2)
    assert overall(model).loc["brier", "value"] == pytest.approx(brier)


def test_later_rows_never_change_the_model_only_its_grade(frame, model):
    changed = frame.copy()
    late = changed["as_of"] >= model.parts.set_index("part").loc["test", "first"]
    changed.loc[late, "churned"] = 1 - changed.loc[late, "churned"]
    assert to_files(fit(changed).formula) == to_files(model.formula)


def test_same_bytes_whatever_the_order_of_rows_and_the_threads(frame):
    quick = replace(SMALL, rounds=10)
    first = fit(frame, boosting=quick, repeats=3)
    shuffled = frame.sample(frac=1, random_state=3)
    again = fit(shuffled, boosting=quick, repeats=3, threads=2)
    assert to_files(again.formula) == to_files(first.formula)
    pd.testing.assert_frame_equal(again.metrics, first.metrics)


def test_one_date_is_split_by_customer_and_says_so(frame):
    flat = frame[frame["as_of"] == frame["as_of"].max()]
    assert fit(flat).split.startswith("customers")


def test_missing_baseline_columns_are_noted_and_left_out(frame):
    bare = frame.drop(columns="spend_360d")
    found = fit(bare, features=("days_since_last_order", "noise"))
    assert set(found.metrics["model"]) == {"churn", "alert_rule"}
    assert found.notes == ("baseline rfm_logistic left out: no column spend_360d",)


def test_slices_are_graded(model):
    table = model.metrics[model.metrics["slice"] == "departure_reason"]
    assert set(table["level"]) == {"price", "service", "missing"}
    assert set(model.importance["feature"].head(2)) == {"days_since_last_order", "complaints_180d"}


def test_alert_rule_compares_silence_with_the_customers_own_gap():
    train = pd.DataFrame({"silent": [10.0, 10, 50, 50, 5], "gap": [10.0, 10, 20, 20, np.nan]})
    outcome = np.array([0, 0, 1, 0, 1])
    found = alert_rule(train, outcome, train, silence="silent", own_gap="gap")
    np.testing.assert_allclose(found, [0.4 / 3, 0.4 / 3, 1.4 / 3, 1.4 / 3, 1.4 / 2])


def test_logistic_baseline_survives_columns_without_a_value():
    train = pd.DataFrame({"a": np.arange(100.0), "b": np.nan})
    outcome = (np.arange(100) >= 50).astype(float)
    found = rfm_logistic(train, outcome, train, ["a", "b"])
    assert found[-1] > 0.9 > 0.1 > found[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="noise"), "columns noise are missing"),
        (lambda f: f.assign(churned=f["churned"].where(f.index > 0)), "must be 0 or 1"),
        (lambda f: pd.concat([f, f.iloc[:2]]), "2 rows repeat a customer"),
        (lambda f: f.assign(churned=0), "train part has 0 leavers"),
    ],
)
def test_bad_snapshots_are_refused(frame, change, words):
    with pytest.raises(ValueError, match=words):
        fit(change(frame))


def test_what_ships_has_learned_from_the_latest_dates_and_is_as_honest(frame):
    early = frame[frame["as_of"] <= frame["as_of"].quantile(0.5)]
    shipped = ship(frame)
    assert to_files(shipped) != to_files(ship(early))
    assert to_files(shipped) == to_files(ship(frame[::-1]))
    fresh = snapshots(seed=9)
    chance = evaluate(shipped, fresh)["churn_probability"]
    assert np.abs(chance - fresh["truth"]).mean() < 0.05
    assert chance.mean() == pytest.approx(fresh["truth"].mean(), abs=0.03)


def test_without_leavers_nothing_is_shipped(frame):
    with pytest.raises(ValueError, match="the train part has 0 leavers"):
        ship(frame.assign(churned=0))
