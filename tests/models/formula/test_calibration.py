"""Calibration maps: right on exact tables, monotone, small, and blind to the order of rows."""

import numpy as np
import pytest

from winback.models.formula.calibration import (
    platt_expression,
    platt_map,
    reliability_table,
)


def test_platt_finds_the_slope_and_intercept_that_made_the_data():
    rng = np.random.default_rng(3)
    score = rng.normal(2, 3, 50_000)
    outcome = rng.random(50_000) < 1 / (1 + np.exp(-(0.5 * score - 1)))
    slope, intercept = platt_map(score, outcome)
    assert slope == pytest.approx(0.5, abs=0.02)
    assert intercept == pytest.approx(-1, abs=0.04)


def test_platt_stays_finite_on_separated_classes_and_flat_on_reversed_ones():
    score = np.linspace(-1, 1, 50)
    slope, _ = platt_map(score, (score > 0).astype(float))
    assert 0 < slope < 1e3
    slope, intercept = platt_map(score, (score < 0).astype(float))
    assert slope == 0
    assert intercept == pytest.approx(0)


def test_expressions_are_what_formula_evaluates():
    assert platt_expression(2.0, 1.0, ["ref", "e"]) == [
        "sigmoid",
        ["sum", [2.0, ["ref", "e"]], [1.0, ["const", 1.0]]],
    ]


def test_reliability_bins_are_equal_and_keep_ties_together():
    probability = np.repeat([0.1, 0.9], [60, 40])
    outcome = np.r_[np.repeat([1, 0], [6, 54]), np.repeat([1, 0], [36, 4])]
    table = reliability_table(probability, outcome, bins=10)
    assert table["rows"].tolist() == [60, 40]
    np.testing.assert_allclose(table["predicted"], [0.1, 0.9])
    np.testing.assert_allclose(table["observed"], [0.1, 0.9])
    assert (table["lo"] < table["observed"]).all()
    assert (table["observed"] < table["hi"]).all()
    assert len(reliability_table(np.linspace(0, 1, 1000), np.ones(1000))) == 10


@pytest.mark.parametrize(
    ("score", "outcome", "weight", "words"),
    [
        ([1.0, 2.0], [1.0], None, "one length"),
        ([1.0, np.nan], [1.0, 0.0], None, "must be finite"),
        ([1.0, 2.0], [1.0, 0.0], [0, 0], "positive weight"),
        ([1.0, 2.0], [1.0, 0.0], [1, np.inf], "weights must be finite"),
    ],
)
def test_bad_input_is_refused(score, outcome, weight, words):
    with pytest.raises(ValueError, match=words):
        platt_map(score, outcome, weight)


def test_platt_refuses_outcomes_that_are_not_zero_or_one():
    with pytest.raises(ValueError, match="0 or 1 for platt_map"):
        platt_map([1.0, 2.0], [0.5, 1.0])
