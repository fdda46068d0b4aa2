import numpy as np
import pandas as pd
import pytest

from winback.models.experiment.effects import (
    arm_scores,
    estimate_row,
    with_holm,
)


def test_without_covariates_scores_average_to_the_means_of_the_arms():
    y = np.array([[1.0], [3], [5], [9], [4]])
    arms = np.array(["a", "a", "b", "b", "b"])
    scores = arm_scores(y, arms, ["a", "b"])
    assert scores.mean(axis=1)[:, 0] == pytest.approx([2, 6])


def test_standard_error_of_small_arms_is_that_of_welch():
    y, arms = np.array([[1.0], [3], [5], [9], [4]]), np.array(["a", "a", "b", "b", "b"])
    scores = arm_scores(y, arms, ["a", "b"])
    found = estimate_row((scores[1] - scores[0])[:, 0], None)["se"]
    # variances 2 and 7; rows count for the sample as a whole, hence 5 / 4
    assert found**2 == pytest.approx((2 / 2 + 7 / 3) * 5 / 4)


def test_adjusted_effect_is_that_of_the_regression_with_interactions():
    """Lin (2013): the coefficient of the arm in y ~ arm * centered covariates."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    arms = rng.choice(["none", "gift"], 300, p=[0.3, 0.7])
    gift = (arms == "gift").astype(float)
    y = 1 + x @ [2, -1] + gift * (0.5 + x[:, 0]) + rng.normal(size=300)
    centered = x - x.mean(axis=0)
    regression = np.column_stack([np.ones(300), gift, centered, gift[:, None] * centered])
    coefficient = np.linalg.lstsq(regression, y, rcond=None)[0][1]
    scores = arm_scores(y[:, None], arms, ["none", "gift"], design=x)
    assert (scores[1] - scores[0]).mean() == pytest.approx(coefficient, abs=1e-12)


def test_with_propensities_the_scores_are_normalized_inverse_propensity_scores():
    y, e = np.array([[1.0], [3], [5], [9]]), np.array([0.5, 0.25, 0.5, 0.8])
    scores = arm_scores(y, np.array(["a", "a", "b", "b"]), ["a"], propensity=e)
    assert scores.mean() == pytest.approx((1 / 0.5 + 3 / 0.25) / (1 / 0.5 + 1 / 0.25))


@pytest.mark.parametrize("adjusted", [False, True])
def test_no_effect_is_found_five_times_in_a_hundred_and_intervals_cover(adjusted):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1000):
        x = rng.normal(size=(400, 2))
        arms = rng.choice(["none", "gift"], 400)
        y = (rng.random(400) < 1 / (1 + np.exp(1.5 - x[:, 0]))) * rng.gamma(2, 1, 400)
        scores = arm_scores(y[:, None], arms, ["none", "gift"], design=x if adjusted else None)
        row = estimate_row((scores[1] - scores[0])[:, 0], None)
        assert (row["p_value"] < 0.05) == (not row["lo"] <= 0 <= row["hi"]) or (
            abs(row["p_value"] - 0.05) < 0.002
        )
        found.append(row["p_value"] < 0.05)
    assert 0.029 <= np.mean(found) <= 0.074


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(ValueError, match="arm 'b' has 1 rows for 1 coefficients"):
        arm_scores(np.ones((3, 1)), np.array(["a", "a", "b"]), ["a", "b"])


def test_holm_is_taken_within_each_outcome():
    table = pd.DataFrame({"outcome": ["a", "a", "b"], "p_value": [0.01, 0.02, 0.03]})
    assert with_holm(table)["p_holm"].tolist() == pytest.approx([0.02, 0.02, 0.03])


def test_a_mean_that_is_not_defined_has_no_row_of_numbers():
    row = estimate_row(np.full(4, np.nan), None)
    assert all(np.isnan(number) for number in row.values())
