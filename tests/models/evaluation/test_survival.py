"""Kaplan-Meier by hand: six customers, two of them still there when the data ends."""

import numpy as np
import pytest

from winback.models.evaluation.survival import MONTH_DAYS, survival


def test_six_customers_by_hand():
    months = np.array([1.0, 2.0, 2.0, 3.0, 5.0, 6.0])
    ended = np.array([1, 1, 0, 1, 0, 1])
    stay = survival(months * MONTH_DAYS, ended, limit_days=4 * MONTH_DAYS)
    # 6 at risk, then 5, then 3: 5/6, 5/6 * 4/5, 2/3 * 2/3; the last end lies beyond the limit.
    assert stay.curve["months"].tolist() == pytest.approx([0, 1, 2, 3, 4])
    assert stay.curve["staying"].tolist() == pytest.approx([1, 5 / 6, 2 / 3, 4 / 9, 4 / 9])
    assert stay.mean_months == pytest.approx(1 + 5 / 6 + 2 / 3 + 4 / 9)
    assert stay.customers == 6


def test_without_censoring_it_is_the_mean_and_its_standard_error():
    months = np.random.default_rng(0).uniform(0.5, 9.0, 4_000)
    stay = survival(months * MONTH_DAYS, np.ones(4_000), limit_days=12 * MONTH_DAYS)
    assert stay.mean_months == pytest.approx(months.mean())
    assert stay.se == pytest.approx(months.std() / np.sqrt(4_000), rel=1e-6)


def test_nobody_leaves_nobody_misses_a_month():
    stay = survival(np.full(3, 900.0), np.ones(3), limit_days=600.0)
    assert stay.mean_months == pytest.approx(600 / MONTH_DAYS)
    assert stay.se == 0


@pytest.mark.parametrize("days", [[], [-1.0], [np.nan]])
def test_days_that_are_none_are_refused(days):
    with pytest.raises(ValueError, match="days: expected numbers of at least 0"):
        survival(np.array(days), np.ones(len(days)), limit_days=10)
