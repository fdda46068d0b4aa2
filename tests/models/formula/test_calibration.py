"""Calibration maps: right on exact tables, monotone, small, and blind to the order of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winback.models.formula.calibration import (
    interp_expression,
    isotonic_map,
    linear_map,
    platt_expression,
    platt_map,
    reliability_table,
)


def bent_sample(rows=20_000, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=rows)
    truth = 0.05 + 0.6 / (1 + np.exp(-3 * score))
    return score, truth, (rng.random(rows) < truth).astype(float)


def test_two_separate_blocks_give_their_means_pulled_by_one_row():
    score = np.repeat([1.0, 2.0], [40, 40])
    outcome = np.r_[np.repeat([1, 0], [10, 30]), np.repeat([1, 0], [30, 10])]
    xs, ys = isotonic_map(score, outcome, least_rows=5)
    assert xs == [1.0, 2.0]
    np.testing.assert_allclose(ys, [10.5 / 41, 30.5 / 41])


def test_falling_outcomes_collapse_to_the_mean():
    xs, ys = isotonic_map(np.arange(100.0), (np.arange(100) < 50).astype(float))
    np.testing.assert_allclose(ys, 0.5)
    assert len(xs) == 1


def test_isotonic_recovers_a_bent_probability():
    score, _, outcome = bent_sample()
    fresh, fresh_truth, _ = bent_sample(seed=1)
    xs, ys = isotonic_map(score, outcome)
    assert np.abs(np.interp(fresh, xs, ys) - fresh_truth).mean() < 0.02
    assert len(xs) <= 26


def test_probabilities_never_reach_zero_or_one_and_ends_keep_ranks():
    score = np.r_[np.linspace(-3, -1, 200), np.linspace(1, 3, 200)]
    xs, ys = isotonic_map(score, (score > 0).astype(float))
    found = np.interp(score, xs, ys)
    assert found.min() > 0
    assert found.max() < 1
    assert (np.diff(found) > 0).all()


def test_a_weight_is_worth_as_many_rows():
    score, outcome = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0])
    weight = np.array([3, 1, 2, 4])
    heavy = isotonic_map(score, outcome, weight * 2.5, least_rows=0)
    repeated = isotonic_map(np.repeat(score, weight), np.repeat(outcome, weight), least_rows=0)
    np.testing.assert_allclose(heavy[0], repeated[0])
    found = linear_map(score, outcome, weight * 2.5)
    np.testing.assert_allclose(
        found, linear_map(np.repeat(score, weight), np.repeat(outcome, weight))
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(-3, 3)), min_size=2, max_size=80))
def test_isotonic_is_monotone_bounded_and_blind_to_row_order(pairs):
    score, outcome = np.array(pairs, dtype=float).T
    xs, ys = isotonic_map(score, outcome, knots=6, least_rows=2)
    assert (np.diff(xs) > 0).all()
    assert (np.diff(ys) >= 0).all()
    assert len(xs) <= 8
    assert min(ys) >= outcome.min() - 1e-9
    assert max(ys) <= outcome.max() + 1e-9
    order = np.random.default_rng(0).permutation(len(score))
    assert isotonic_map(score[order], outcome[order], knots=6, least_rows=2) == (xs, ys)


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


def test_linear_map_is_least_squares_with_no_negative_slope():
    score, outcome = np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(linear_map(score, outcome), np.polyfit(score, outcome, 1))
    assert linear_map(score, -outcome) == (0.0, -3.0)


def test_expressions_are_what_formula_evaluates():
    assert interp_expression([0.0], [1.0], ["ref", "e"]) == ["interp", [0.0], [1.0], ["ref", "e"]]
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
        isotonic_map(score, outcome, weight)


def test_platt_refuses_outcomes_that_are_not_zero_or_one():
    with pytest.raises(ValueError, match="0 or 1 for platt_map"):
        platt_map([1.0, 2.0], [0.5, 1.0])
