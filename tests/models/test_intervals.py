"""Intervals against textbooks, SciPy and simulated coverage."""

import numpy as np
import pytest
from scipy.stats import binomtest

from winback.models.intervals import (
    Estimate,
    detectable_effect,
    holm,
    leads,
    mean_estimate,
    normal_reach,
    paired_difference,
    percentile_interval,
    ratio_scores,
    two_sided,
    wilson_interval,
)


def test_standard_error_without_clusters_is_the_textbook_one():
    scores = np.array([1.0, 2.0, 4.0, 9.0])
    estimate = mean_estimate(scores)
    assert estimate.value == 4.0
    assert estimate.se == pytest.approx(scores.std(ddof=1) / 2, abs=1e-15)
    assert estimate.hi - estimate.value == pytest.approx(3.182446305284263 * estimate.se)
    assert estimate.n == 4


def test_copying_every_row_into_a_household_leaves_the_clustered_error_as_it_was():
    scores = np.random.default_rng(1).normal(size=60)
    one = mean_estimate(scores)
    copied = mean_estimate(np.repeat(scores, 3), clusters=np.repeat(np.arange(60), 3))
    assert copied.se == pytest.approx(one.se, rel=1e-12)
    assert mean_estimate(np.repeat(scores, 3)).se < one.se / 1.7


def test_ratio_intervals_cover_the_true_return_on_investment():
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(500):
        returned = rng.random(600) < 0.4
        cost, profit = 100.0 * returned, returned * (rng.gamma(4, 100, 600) - 100)
        found = mean_estimate(ratio_scores(profit, cost))
        covered.append(found.lo <= 3.0 <= found.hi)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_ratio_over_nothing_is_not_defined():
    assert np.isnan(ratio_scores(np.ones(4), np.zeros(4))).all()


def test_wilson_interval_matches_the_published_example():
    # Newcombe 1998, table I: 81 of 263 gives .2553 to .3662
    lo, hi = wilson_interval(81 / 263, 263)
    np.testing.assert_allclose([lo, hi], [0.2553, 0.3662], atol=5e-5)


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (3, 7), (81, 263), (50, 50)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_interval_is_scipys(hits, rows, level):
    theirs = binomtest(hits, rows).proportion_ci(level, "wilson")
    assert wilson_interval(hits / rows, rows, level=level) == pytest.approx(theirs, abs=1e-12)


def test_percentile_interval_leaves_unknown_draws_out():
    draws = np.r_[np.arange(101.0), np.nan, np.nan]
    assert percentile_interval(draws) == pytest.approx((2.5, 97.5))
    assert percentile_interval(draws, level=0.5) == pytest.approx((25, 75))
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


def test_normal_reach_is_that_of_the_tables_and_refuses_percent():
    assert normal_reach(0.95) == pytest.approx(1.959964, abs=1e-6)
    assert normal_reach(0.8) == pytest.approx(1.281552, abs=1e-6)
    with pytest.raises(ValueError, match="level: must lie between 0 and 1, found 95"):
        normal_reach(95)


def test_two_sided_is_certain_where_nothing_spreads():
    assert two_sided(Estimate(0.0, 0, 0, 0.0, 9, 9)) == 1.0
    assert two_sided(Estimate(0.1, 0.1, 0.1, 0.0, 9, 9)) == 0.0


def test_p_values_and_intervals_say_the_same_of_few_groups():
    """By the normal law one of six shops' worth of noise would be significant too often."""
    rng = np.random.default_rng(0)
    shops = np.repeat(np.arange(6), 50)
    small = []
    for _ in range(2_000):
        found = mean_estimate(rng.normal(size=6)[shops] + rng.normal(size=300), clusters=shops)
        assert found.units == 6
        assert (two_sided(found) < 0.05) == (found.lo > 0 or found.hi < 0)
        small.append(two_sided(found) < 0.05)
    assert 0.035 < np.mean(small) < 0.065


def test_a_difference_is_paired_row_by_row():
    scores = np.array([1.0, 5.0, 2.0, 9.0])
    gap = paired_difference(scores + np.array([0.1, 0.2, 0.3, 0.2]), scores)
    assert gap.value == pytest.approx(0.2)
    assert gap.se == pytest.approx(np.std([0.1, 0.2, 0.3, 0.2], ddof=1) / 2)
    same = paired_difference(scores, scores)
    assert (same.value, same.se, same.lo, same.hi) == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="baseline: must have 4 rows, found 1"):
        paired_difference(scores, scores[:1])


def test_holm_by_hand_and_missing_values_stay_out_of_the_family():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, np.nan, 0.6])[[0, 2]] == pytest.approx([1.0, 1.0])
    assert np.isnan(holm([0.5, np.nan]))[1]


def test_holm_keeps_the_chance_of_any_false_alarm():
    rng = np.random.default_rng(3)
    any_rejected = [(holm(rng.random(4)) < 0.05).any() for _ in range(3000)]
    assert np.mean(any_rejected) == pytest.approx(0.05, abs=0.012)


def test_power_is_what_it_says():
    """8% against 10%: the textbook needs 3,213 per arm; with them four in five find it."""
    rows = 3213
    se = np.sqrt((0.08 * 0.92 + 0.10 * 0.90) / rows)
    assert detectable_effect(se) == pytest.approx(0.02, rel=1e-3)
    rng = np.random.default_rng(4)
    a, b = rng.binomial(rows, 0.08, 4000) / rows, rng.binomial(rows, 0.10, 4000) / rows
    z = (b - a) / np.sqrt((a * (1 - a) + b * (1 - b)) / rows)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [1.0]}, "at least 2 rows, found 1"),
        ({"scores": [1.0, 2.0], "clusters": ["a", "a"]}, "at least 2 clusters, found 1"),
        ({"scores": [1.0, np.inf]}, "scores: must be finite"),
        ({"scores": [1.0, 2.0], "level": 95}, "level: must lie between 0 and 1, found 95"),
        ({"scores": [1.0, 2.0], "clusters": ["a"]}, "clusters: must have 2 rows, found 1"),
    ],
)
def test_intervals_of_too_little_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mean_estimate(arguments.pop("scores"), **arguments)


def test_an_estimate_leads_where_it_is_above_each_other_one_beyond_noise():
    estimates, errors = np.array([1.0, 5.0, 3.0]), np.array([0.1, 0.6, 0.8])
    assert leads(estimates, errors, 1)  # 2.0 is beyond 1.96 * 1.0
    assert not leads(estimates, errors * 1.03, 1)
    assert not leads(estimates, errors, 2)
    assert leads(estimates[:1], errors[:1], 0)
