import numpy as np
import pandas as pd
import pytest

from winback.models.uplift.effect_intervals import effect_bands, interval


def test_groups_hold_the_means_of_scores_in_order_of_the_effect():
    effect = np.arange(40)[::-1] / 10.0
    score = np.arange(40.0)[::-1] % 2 + 5.0
    bands = effect_bands(pd.DataFrame({"mail": effect}), score[:, None])
    assert bands["rows"].tolist() == [2, 2, *[4] * 8, 2, 2]
    np.testing.assert_allclose(bands["predicted"].iloc[[0, 2, -1]], [0.05, 0.55, 3.85])
    np.testing.assert_allclose(bands["observed"], 5.5)
    np.testing.assert_allclose(bands["se"].iloc[0], np.std([5, 6], ddof=1) / np.sqrt(2))


def test_a_constant_effect_is_one_group_with_the_average():
    bands = effect_bands(pd.DataFrame({"mail": np.full(4, 0.3)}), np.array([[1.0], [2], [3], [4]]))
    assert bands[["rows", "observed"]].to_numpy().tolist() == [[4, 2.5]]


def test_errors_count_groups_that_share_their_fate_once():
    rng = np.random.default_rng(0)
    score = rng.normal(size=500)
    one = effect_bands(pd.DataFrame({"mail": np.zeros(500)}), score[:, None])
    four = effect_bands(
        pd.DataFrame({"mail": np.zeros(2000)}),
        np.repeat(score, 4)[:, None],
        groups=np.repeat(np.arange(500), 4),
    )
    assert four["se"][0] == pytest.approx(one["se"][0])


def test_interval_is_normal_around_the_interpolated_average_and_goes_on_beyond_the_groups():
    bands = pd.DataFrame(
        {
            "offer": ["mail"] * 2,
            "predicted": [0.0, 1.0],
            "observed": [0.0, 2.0],
            "se": [0.1, 0.3],
            "skewness": 0.0,
            "units": 10_000,
        }
    )
    ends = interval(bands, pd.DataFrame({"mail": [0.5, 1.4]}), coverage=0.95)
    np.testing.assert_allclose(ends["lo"]["mail"], [1 - 1.96 * 0.2, 2.4 - 1.96 * 0.3], atol=1e-4)
    np.testing.assert_allclose(ends["hi"]["mail"], [1 + 1.96 * 0.2, 2.4 + 1.96 * 0.3], atol=1e-4)


def test_skewed_scores_are_covered_as_often_as_asked():
    rng = np.random.default_rng(1)
    covered, by_errors = [], []
    for _ in range(1500):
        score = np.where(rng.random(400) < 0.06, np.exp(rng.normal(0, 1.2, 400)), 0.0)
        bands = effect_bands(pd.DataFrame({"mail": np.zeros(400)}), score[:, None])
        ends = interval(bands, pd.DataFrame({"mail": [0.0]}), coverage=0.9)
        mean = 0.06 * np.exp(0.72)
        covered.append(ends["lo"]["mail"][0] <= mean <= ends["hi"]["mail"][0])
        by_errors.append(abs(bands["observed"][0] - mean) <= 1.645 * bands["se"][0])
    assert np.mean(covered) > np.mean(by_errors) + 0.02
    assert np.mean(covered) > 0.85


def test_scores_that_do_not_vary_have_no_skewness():
    for contrast in (np.zeros((60, 1)), np.full((60, 1), 0.25)):
        bands = effect_bands(pd.DataFrame({"mail": np.zeros(60)}), contrast)
        assert bands["skewness"].tolist() == [0.0]
        assert bands["se"].tolist() == [0.0]


def test_bands_hold_several_groups_and_cover_though_these_are_few():
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(600):
        shop = np.repeat(np.arange(20), 30)
        effect = rng.normal(size=20)[shop]  # the same for all customers of a shop
        score = (rng.normal(size=20)[shop] + rng.normal(size=600))[:, None]
        bands = effect_bands(pd.DataFrame({"mail": effect}), score, groups=shop)
        assert bands["units"].min() >= 5
        assert bands["rows"].sum() == 600
        ends = interval(bands, pd.DataFrame({"mail": bands["predicted"]}), coverage=0.9)
        covered += list((ends["lo"]["mail"] <= 0) & (ends["hi"]["mail"] >= 0))
    assert 0.85 < np.mean(covered) < 0.95
