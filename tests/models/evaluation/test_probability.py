"""Grades: equal to scikit-learn where it has them, equal to slow oracles where it does not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as mean_log_loss

from winback.models.evaluation.probability import (
    RetentionProfit,
    auc_scores,
    best_cutoff,
    bootstrap_grades,
    grade_probabilities,
    grade_slices,
    log_loss,
)
from winback.models.intervals import mean_estimate


def sample(rows=600, seed=0, digits=2):
    rng = np.random.default_rng(seed)
    probability = np.round(rng.beta(1, 3, rows), digits)
    return (rng.random(rows) < probability).astype(int), probability


def slow_emp(outcome, probability, profit, steps=20_001):
    """For each chance of acceptance try every threshold; average over the Beta law."""
    chances = (np.arange(steps) + 0.5) / steps
    best = np.zeros(steps)
    for threshold in np.unique(probability):
        chosen = probability >= threshold
        leavers, stayers = (chosen & (outcome == 1)).mean(), (chosen & (outcome == 0)).mean()
        earned = leavers * (chances * (profit.value - profit.incentive_cost) - profit.contact_cost)
        earned = earned - stayers * (profit.incentive_cost + profit.contact_cost)
        best = np.maximum(best, earned)
    density = beta.pdf(chances, profit.alpha, profit.beta)
    return (best * density).mean()


def emp(outcome, probability, profit):
    return grade_probabilities(outcome, probability, profit=profit, metrics=("emp",))["emp"]


@pytest.mark.parametrize("digits", [1, 6])
def test_classic_measures_equal_scikit_learn(digits):
    outcome, probability = sample(digits=digits)
    found = grade_probabilities(outcome, probability)
    assert found["auc"] == pytest.approx(roc_auc_score(outcome, probability), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(average_precision_score(outcome, probability))
    inside = np.clip(probability, 1e-15, 1 - 1e-15)
    assert found["log_loss"] == pytest.approx(mean_log_loss(outcome, inside))
    assert found["brier"] == pytest.approx(brier_score_loss(outcome, probability))
    assert found["rows"] == 600
    assert found["base_rate"] == pytest.approx(outcome.mean())


def test_log_loss_of_each_row_averages_to_that_of_scikit_learn():
    outcome, probability = sample(digits=6)
    expected = mean_log_loss(outcome, probability)
    assert log_loss(outcome, probability).mean() == pytest.approx(expected)
    assert log_loss([1, 0, 1], [0.5, 0.0, 0.0]) == pytest.approx([np.log(2), 0, -np.log(1e-15)])


def test_lift_counts_the_top_tenth_and_shares_out_ties():
    outcome = np.r_[1, 1, np.zeros(18)].astype(int)
    assert grade_probabilities(outcome, np.linspace(1, 0, 20))["lift_10"] == pytest.approx(10)
    tied = np.r_[np.full(4, 0.9), np.full(16, 0.1)]
    # two of the four tied customers are reached, so half of the two leavers are
    assert grade_probabilities(outcome, tied)["lift_10"] == pytest.approx(5)


def test_ece_is_the_gap_within_bins():
    outcome = np.tile([1, 0, 0, 0], 150)
    assert grade_probabilities(outcome, np.full(600, 0.25))["ece"] == pytest.approx(0)
    assert grade_probabilities(outcome, np.full(600, 0.4))["ece"] == pytest.approx(0.15)
    # wrong both ways: the overall mean is right, the bins are not
    split = np.where(np.arange(600) < 300, 0.15, 0.35)
    assert grade_probabilities(outcome, split)["ece"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "profit",
    [
        RetentionProfit(),
        RetentionProfit(value=50, incentive_cost=30, contact_cost=2, alpha=2, beta=2),
        RetentionProfit(value=1000, incentive_cost=0, contact_cost=1),
        RetentionProfit(value=20, incentive_cost=15, contact_cost=10),
    ],
)
def test_expected_maximum_profit_equals_trying_everything(profit):
    outcome, probability = sample()
    expected = slow_emp(outcome, probability, profit)
    assert emp(outcome, probability, profit) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=2, max_size=30),
    st.integers(1, 90),
)
def test_expected_maximum_profit_equals_the_oracle_on_any_small_table(pairs, incentive):
    outcome, tenths = np.array(pairs).T
    profit = RetentionProfit(value=100, incentive_cost=incentive, contact_cost=3)
    if 0 < outcome.mean() < 1:
        oracle = slow_emp(outcome, tenths / 10, profit, 4001)
        assert emp(outcome, tenths / 10, profit) == pytest.approx(oracle, abs=1e-3)


def test_signs_of_profit_on_four_customers():
    # ranked leaver, stayer, leaver, stayer; the chance is sharp at .5: a leaver earns
    # .5 * (100 - 20) - 2 = 38, a stayer costs 22, so contacting three earns 38 - 22 + 38
    profit = RetentionProfit(100, 20, 2, alpha=5e6, beta=5e6)
    outcome, probability = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert emp(outcome, probability, profit) == pytest.approx(54 / 4, rel=1e-3)
    found = best_cutoff(outcome, probability, profit)
    assert (found.threshold, found.share) == (0.7, 0.75)
    assert found.profit == pytest.approx(54 / 4)


def test_the_best_cutoff_may_contact_nobody():
    outcome, probability = np.array([1, 1, 0]), np.array([0.9, 0.8, 0.1])
    nobody = best_cutoff(outcome, probability, RetentionProfit(100, 90, 60))
    assert nobody.share == 0
    assert nobody.profit == 0


def test_weights_of_the_bootstrap_equal_repeated_rows():
    outcome, probability = sample(60, digits=1)
    table = bootstrap_grades(outcome, {"model": probability}, repeats=1, seed=5)
    rng = np.random.default_rng(5)
    counts = np.bincount(rng.integers(0, 60, 60), minlength=60)
    rows = np.repeat(np.arange(60), counts)
    repeated = grade_probabilities(outcome[rows], probability[rows])
    for metric in ("auc", "pr_auc", "log_loss", "brier", "lift_10", "emp"):
        row = table.set_index("metric").loc[metric]
        assert row["lo"] == pytest.approx(repeated[metric]), metric


def test_bootstrap_interval_covers_the_truth_and_draws_whole_customers():
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for seed in range(40):
        customer = np.repeat(np.arange(150), 4)
        probability = np.repeat(rng.beta(1, 3, 150), 4)
        outcome = np.repeat((rng.random(150) < probability[::4]).astype(int), 4)
        arguments = {"repeats": 120, "seed": seed, "metrics": ("brier",)}
        row = bootstrap_grades(outcome, {"m": probability}, cluster=customer, **arguments).iloc[0]
        naive = bootstrap_grades(outcome, {"m": probability}, **arguments).iloc[0]
        truth = 0.1500  # E[p(1-p)] of Beta(1, 3)
        covered += row["lo"] <= truth <= row["hi"]
        widths.append((row["hi"] - row["lo"]) / (naive["hi"] - naive["lo"]))
    assert covered >= 33
    assert np.mean(widths) == pytest.approx(2, abs=0.2)  # four copies: twice as wide


def test_gains_are_paired_on_the_first_model():
    outcome, probability = sample(2000, digits=6)
    near = np.clip(probability + 0.001, 0, 1)
    table = bootstrap_grades(
        outcome, {"base": probability, "near": near}, repeats=50, seed=0, metrics=("auc", "brier")
    )
    near_brier = table[(table["model"] == "near") & (table["metric"] == "brier")].iloc[0]
    assert near_brier["gain_hi"] - near_brier["gain_lo"] < (near_brier["hi"] - near_brier["lo"]) / 5
    assert (table.loc[table["model"] == "base", "gain"] == 0).all()


def test_auc_scores_average_to_the_auc_and_spread_as_it_does():
    """Paired and by customer, as drawing whole customers again says."""
    rng = np.random.default_rng(6)
    customer = np.repeat(np.arange(700), 3)
    chance = np.repeat(rng.beta(2, 5, 700), 3)
    outcome = np.repeat(rng.random(700) < chance[::3], 3).astype(float)
    models = {"one": chance, "two": np.clip(chance + rng.normal(0, 0.2, 2_100), 0, 1).round(1)}
    drawn = bootstrap_grades(
        outcome, models, cluster=customer, repeats=400, seed=1, metrics=("auc",)
    ).set_index("model")
    one, two = (auc_scores(outcome, model) for model in models.values())
    for scores, name, sides in (
        (one, "one", ("value", "lo", "hi")),
        (two, "two", ("value", "lo", "hi")),
        (two - one, "two", ("gain", "gain_lo", "gain_hi")),
    ):
        ours = mean_estimate(scores, clusters=customer)
        value, lo, hi = drawn.loc[name, list(sides)]
        assert ours.value == pytest.approx(value, abs=1e-12)
        assert ours.hi - ours.lo == pytest.approx(hi - lo, rel=0.12)
    assert np.isnan(auc_scores(np.ones(3), np.full(3, 0.5))).all()


def test_slices_are_graded_apart_and_one_class_gives_no_ranking():
    outcome, probability = sample(100)
    level = np.where(np.arange(100) < 50, "a", None)
    outcome[:50] = 0
    table = grade_slices(outcome, {"m": probability}, {"part": level}).set_index("level")
    assert table["rows"].to_dict() == {"a": 50, "missing": 50}
    assert np.isnan(table.loc["a", "auc"])
    assert not np.isnan(table.loc["a", "brier"])
    direct = grade_probabilities(outcome[50:], probability[50:])
    assert table.loc["missing", "auc"] == direct["auc"]


def test_row_order_does_not_matter():
    outcome, probability = sample(300, digits=1)
    order = np.random.default_rng(0).permutation(300)
    assert grade_probabilities(outcome, probability) == grade_probabilities(
        outcome[order], probability[order]
    )


@pytest.mark.parametrize(
    ("outcome", "probability", "words"),
    [
        ([0, 1], [0.5], "one length"),
        ([0, 2], [0.5, 0.5], "must be 0 or 1"),
        ([0, 1], [0.5, 1.5], r"must lie in \[0, 1\]"),
        ([0, 1], [0.5, np.nan], r"must lie in \[0, 1\]"),
    ],
)
def test_bad_input_is_refused(outcome, probability, words):
    with pytest.raises(ValueError, match=words):
        grade_probabilities(outcome, probability)


def test_unknown_metric_and_impossible_profit_are_refused():
    with pytest.raises(ValueError, match="unknown metric 'f1'"):
        grade_probabilities([0, 1], [0.1, 0.2], metrics=("f1",))
    with pytest.raises(ValueError, match="incentive_cost < value"):
        RetentionProfit(value=5, incentive_cost=10)
    with pytest.raises(ValueError, match="must be positive"):
        RetentionProfit(alpha=0)


def test_one_class_everywhere_has_an_empty_interval():
    table = bootstrap_grades(
        np.zeros(20), {"m": np.full(20, 0.1)}, repeats=5, seed=0, metrics=("auc", "brier")
    )
    assert pd.isna(table.loc[0, "lo"])
    assert table.loc[1, "value"] == pytest.approx(0.01)
