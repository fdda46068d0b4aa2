"""Effects by group are means of score differences; fifths come in the order of the prediction."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winback.models.evaluation.effect_groups import (
    effects_by_group,
    effects_by_predicted,
    lowest_and_highest,
)
from winback.models.evaluation.graded import Graded


@pytest.fixture
def judged():
    """300 rows: offer a adds i/300 to row i, offer b takes away .5 from everybody."""
    scores = np.zeros((300, 3))
    scores[:, 0] = np.tile([0.1, 0.2, 0.3], 100)
    scores[:, 1] = scores[:, 0] + np.arange(300) / 300
    scores[:, 2] = scores[:, 0] - 0.5
    return Graded(("none", "a", "b"), scores, scores, scores)


def test_a_group_gets_its_own_mean_and_small_groups_are_left_out(judged):
    groups = pd.Series(["late"] * 20 + ["x"] * 100 + ["y"] * 180)
    table = effects_by_group(judged, groups)
    assert list(table["group"].unique()) == ["y", "x"]
    a = table[table["offer"] == "a"].set_index("group")
    assert a.loc["x", "effect"] == pytest.approx(np.arange(20, 120).mean() / 300)
    assert a.loc["y", "rows"] == 180
    assert (a["lo"] < a["effect"]).all()
    assert (a["effect"] < a["hi"]).all()
    assert table[table["offer"] == "b"]["effect"].tolist() == pytest.approx([-0.5, -0.5])


def test_fifths_are_ordered_by_the_prediction_not_by_the_outcome(judged):
    told = pd.DataFrame({"a": -np.arange(300.0), "b": np.zeros(300)})
    table = effects_by_predicted(judged, told)
    a = table[table["offer"] == "a"]
    assert a["rows"].tolist() == [60] * 5
    assert a["predicted"].is_monotonic_increasing
    assert a["observed"].is_monotonic_decreasing
    assert a["observed"].iloc[0] == pytest.approx(np.arange(240, 300).mean() / 300)


def test_rows_of_one_cluster_have_no_interval_and_are_left_out(judged):
    clusters = np.array(["home"] * 120 + [f"{row}" for row in range(180)], dtype=object)
    shared = replace(judged, groups=clusters)
    groups = pd.Series(["x"] * 100 + ["y"] * 200)
    assert effects_by_group(shared, groups)["group"].tolist() == ["y", "y"]
    told = pd.DataFrame({"a": np.arange(300.0), "b": np.zeros(300)})
    table = effects_by_predicted(shared, told)
    assert table[table["offer"] == "a"]["part"].tolist() == [3, 4, 5]


def test_a_missing_prediction_is_refused(judged):
    with pytest.raises(ValueError, match="one column for each of a, b"):
        effects_by_predicted(judged, pd.DataFrame({"a": np.zeros(300)}))
    few = Graded(judged.names, judged.scores[:4], judged.scores[:4], judged.scores[:4])
    with pytest.raises(ValueError, match="at least 10 rows, found 4"):
        effects_by_predicted(few, pd.DataFrame(np.zeros((4, 2)), columns=["a", "b"]))


@pytest.mark.parametrize(("highest", "told"), [(0.3, True), (0.15, False), (0.0, False)])
def test_the_highest_part_is_above_the_lowest_only_beyond_noise(highest, told):
    rows = [
        (offer, part, observed, observed - 0.1, observed + 0.1)
        for offer in ("mail", "gift")
        for part, observed in ((1, 0.1), (3, 0.9), (5, highest))
    ]
    parts = pd.DataFrame(rows, columns=["offer", "part", "observed", "lo", "hi"])
    assert lowest_and_highest(parts) == (pytest.approx(0.1), pytest.approx(highest), told)
