"""The best dose for each customer, on rows whose answers are known."""

import numpy as np
import pytest

from winback.models.evaluation.best_dose import by_dose
from winback.models.evaluation.graded import Graded

NAMES = ("none", "call", "off_10", "off_20")
DOSES = {"off_20": 20.0, "off_10": 10.0}


def rows(scores, expected, groups=None):
    return Graded(NAMES, np.array(scores), np.array(expected), np.zeros((4, 4)), groups=groups)


EXPECTED = [[0, 9, 1, 0.5], [0, 9, 1, 2], [0, 9, 1, 3], [0, 9, -1, -2]]  # another offer has no say
SCORES = [[0, 50, 5, 1], [0, 50, 1, 6], [0, 50, 2, 6], [1, 50, 0, 0]]


def test_shares_values_and_the_gain_over_the_best_single_dose():
    table, found = by_dose(rows(SCORES, EXPECTED), DOSES)
    assert table["offer"].tolist() == ["none", "off_10", "off_20"]
    assert table["dose"].tolist() == [0, 10, 20]
    assert table["share"].tolist() == [0.25, 0.25, 0.5]
    assert table["value_per_customer"].tolist() == [0.25, 2.0, 3.25]
    # off_20 promises most for all (3.5 of 4); by customer 4 + 0 + 0 + 1 more.
    assert found["best_single"] == "off_20"
    assert found["gain"] == pytest.approx(5 / 4)
    differences = np.array([4.0, 0, 0, 1])
    reach = 3.182 * differences.std(ddof=1) / 2
    assert (found["lo"], found["hi"]) == pytest.approx((1.25 - reach, 1.25 + reach), abs=1e-3)
    assert found["n"] == 4


def test_rows_of_one_group_count_once():
    _, alone = by_dose(rows(SCORES, EXPECTED), DOSES)
    _, pairs = by_dose(rows(SCORES, EXPECTED, groups=np.array([0, 0, 1, 1])), DOSES)
    assert pairs["gain"] == alone["gain"]
    # Sums of the two groups are 4 and 1: their spread about the mean with one degree of freedom.
    reach = 12.706 * np.sqrt(2 * np.sum((np.array([4.0, 1.0]) - 2.5) ** 2)) / 4
    assert (pairs["lo"], pairs["hi"]) == pytest.approx((1.25 - reach, 1.25 + reach), abs=1e-2)
