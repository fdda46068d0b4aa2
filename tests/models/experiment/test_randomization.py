import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare, ncx2

from winback.models.experiment import randomization
from winback.models.experiment.covariates import covariate_design
from winback.models.experiment.randomization import (
    arm_prediction_test,
    detectable_losses,
    propensity_ratio,
    sample_ratio,
    standardized_differences,
)

FIVE = dict.fromkeys("abcde", 0.2)


def test_sample_ratio_is_pearsons_test_with_rows_reconciled():
    arms = np.repeat(["a", "b", "c"], [48, 30, 22])
    ratio = sample_ratio(arms, {"a": 0.5, "b": 0.25, "c": 0.25})
    assert ratio.p_value == pytest.approx(chisquare([48, 30, 22], [50, 25, 25]).pvalue)
    assert ratio.arms["difference"].tolist() == [-2, 5, -3]
    assert ratio.arms["z"].tolist() == pytest.approx([-0.4, 5 / 18.75**0.5, -3 / 18.75**0.5])
    assert not ratio.mismatch


def test_honest_sizes_alarm_no_more_often_than_alpha():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(5000, [0.2] * 5, size=1000)
    alarms = [sample_ratio(np.repeat(list("abcde"), row), FIVE).mismatch for row in counts]
    assert sum(alarms) <= 5


def test_a_tenth_of_one_arm_in_five_is_missed_less_than_once_in_ten():
    rng = np.random.default_rng(1)
    caught = 0
    for _ in range(200):
        counts = rng.multinomial(20_000, [0.2] * 5)
        counts[2] = rng.binomial(counts[2], 0.9)
        caught += sample_ratio(np.repeat(list("abcde"), counts), FIVE).mismatch
    assert caught >= 180


def test_detectable_loss_is_where_the_power_of_the_test_is_four_fifths():
    share = np.array([0.5, 0.3, 0.2])
    for arm, loss in enumerate(detectable_losses(share, 10_000)):
        after = share.copy()
        after[arm] *= 1 - loss
        after /= after.sum()
        noncentrality = 10_000 * ((after - share) ** 2 / share).sum()
        critical = 13.815510557964274  # chi-squared, 2 degrees, 0.001
        assert ncx2.sf(critical, 2, noncentrality) == pytest.approx(0.8, abs=1e-6)
    assert (detectable_losses(share, 3) == 1).all()


def test_published_powers_of_the_alarm():
    """Five equal arms at 0.001: a 5% loss is caught 4% of the time at 10,000, 71% at 50,000."""
    rng = np.random.default_rng(7)
    share = np.array([0.19, 0.2, 0.2, 0.2, 0.2]) / 0.99
    for rows, power in ((10_000, 0.04), (50_000, 0.71)):
        counts = rng.multinomial(rows, share, size=120)
        caught = [sample_ratio(np.repeat(list("abcde"), row), FIVE).mismatch for row in counts]
        assert np.mean(caught) == pytest.approx(power, abs=0.09 if power > 0.5 else 0.04)


def test_inverse_propensities_add_to_the_rows_where_chances_differ():
    rng = np.random.default_rng(2)
    n = 20_000
    chance = np.where(rng.random(n) < 0.5, 0.7, 0.3)
    offered = rng.random(n) < chance
    offers, propensity = np.where(offered, "gift", "none"), np.where(offered, chance, 1 - chance)
    honest = propensity_ratio(offers, propensity, ["gift", "none"])
    assert honest.p_value > 0.001
    assert honest.arms["expected"].to_numpy() == pytest.approx(honest.arms["rows"], rel=0.03)
    kept = ~(offered & (rng.random(n) < 0.1))
    lossy = propensity_ratio(offers[kept], propensity[kept], ["gift", "none"])
    assert lossy.mismatch
    assert lossy.arms["z"][0] < -5 < 5 < lossy.arms["z"][1]


def test_propensity_ratio_alarms_no_more_often_than_alpha():
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(1500):
        chance = np.where(rng.random(1000) < 0.5, 0.7, 0.3)
        offered = rng.random(1000) < chance
        offers, propensity = np.where(offered, "a", "b"), np.where(offered, chance, 1 - chance)
        p_values.append(propensity_ratio(offers, propensity, ["a", "b"]).p_value)
    assert 0.035 <= np.mean(np.array(p_values) < 0.05) <= 0.065


def test_standardized_differences_by_hand():
    frame = pd.DataFrame({"x": [0.0, 2, 4, 10, 12, 14]})
    arms = np.repeat(["none", "gift"], 3)
    table = standardized_differences(covariate_design(frame), arms, "none")
    assert table.to_dict("records") == [{"covariate": "x", "arm": "gift", "smd": pytest.approx(5)}]


def test_arms_that_covariates_predict_are_found_by_mean_and_by_spread():
    rng = np.random.default_rng(4)
    arms = rng.choice(["a", "b", "c"], 3000)
    fair = rng.normal(size=(3000, 3))
    moved, widened = fair.copy(), fair.copy()
    moved[arms == "b", 1] += 0.2
    widened[arms == "b", 1] *= 1.3

    def p_value(matrix):
        design = covariate_design(pd.DataFrame(matrix, columns=list("xyz")))
        return arm_prediction_test(design, arms, rng=np.random.default_rng(0))

    assert p_value(fair) > 0.02
    assert p_value(moved) < 0.01
    assert p_value(widened) < 0.01


def test_permutation_p_values_are_uniform_under_honest_arms():
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(150):
        design = covariate_design(pd.DataFrame(rng.normal(size=(120, 2)), columns=["x", "y"]))
        arms = rng.choice(["a", "b"], 120)
        p_values.append(arm_prediction_test(design, arms, rng=rng))
    assert 0.4 <= np.mean(p_values) <= 0.6
    assert np.mean(np.array(p_values) < 0.1) <= 0.17


def test_large_samples_are_judged_on_some_of_their_rows(monkeypatch):
    rng = np.random.default_rng(6)
    arms = rng.choice(["a", "b"], 4000)
    design = covariate_design(pd.DataFrame({"x": rng.normal(size=4000) + 0.2 * (arms == "a")}))
    assert arm_prediction_test(design, arms, rng=rng) == 1 / 4001  # no shuffle reaches the arms
    monkeypatch.setattr(randomization, "MOST_ROWS", 100)
    assert arm_prediction_test(design, arms, rng=rng) > 0.01  # too few rows to see it
