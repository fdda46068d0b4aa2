import numpy as np
import pandas as pd
import pytest

from winback.models.uplift.effect_intervals import effect_bands, interval


def test_groups_hold_the_means_of_scores_in_order_of_the_effect():
    effect = np.arange(20)[::-1] / 10.0
    score = np.arange(20.0)[::-1] % 2 + 5.0
    bands = effect_bands(pd.DataFrame({"mail": effect}), score[:, None])
    assert bands["rows"].tolist() == [2] * 10
    np.testing.assert_allclose(bands["predicted"], np.arange(10) * 0.2 + 0.05)
    np.testing.assert_allclose(bands["observed"], 5.5)
    np.testing.assert_allclose(bands["se"], np.std([5, 6], ddof=1) / np.sqrt(2))


def test_a_constant_effect_is_one_group_with_the_average():
    bands = effect_bands(pd.DataFrame({"mail": np.full(4, 0.3)}), np.array([[1.0], [2], [3], [4]]))
    assert bands[["rows", "observed"]].to_numpy().tolist() == [[4, 2.5]]


def test_interval_is_normal_around_the_interpolated_average():
    bands = pd.DataFrame(
        {"offer": ["mail"] * 2, "predicted": [0.0, 1.0], "observed": [0.0, 2.0], "se": [0.1, 0.3]}
    )
    ends = interval(bands, pd.DataFrame({"mail": [0.5]}), coverage=0.95)
    assert ends["lo"]["mail"][0] == pytest.approx(1 - 1.96 * 0.2, abs=1e-4)
    assert ends["hi"]["mail"][0] == pytest.approx(1 + 1.96 * 0.2, abs=1e-4)
