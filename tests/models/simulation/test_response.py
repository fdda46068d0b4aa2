"""The law of returning unasked: draws agree with probabilities; only the days away matter."""

import numpy as np
import pytest

from winback.models.simulation.response import GONE_FOR_GOOD, HAZARD_DAYS, STEP_DAYS, Unasked

N = 100_000


def law(n: int, *, logit: float = -1.0, factor: float = 1.0, gone: bool = False) -> Unasked:
    return Unasked(np.full(n, logit), np.full(n, factor), np.full(n, gone))


@pytest.mark.parametrize(("since", "until"), [(0.0, 90.0), (17.5, 107.5), (400.0, 490.0)])
def test_draws_come_back_as_often_as_the_probability_says(since: float, until: float) -> None:
    begin, end = np.full(N, since), np.full(N, until)
    exponential = np.random.default_rng(1).standard_exponential(N)
    days = law(N).days_until_return(begin, end, exponential)
    chance = law(1).probability(begin[:1], end[:1])[0]
    back = np.isfinite(days)
    assert 0.05 < chance < 0.3
    assert abs(back.mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / N)
    assert days[back].min() >= max(since, STEP_DAYS)
    assert days[back].max() < until


def test_who_is_still_away_has_the_chance_of_whoever_is_away_so_long() -> None:
    """Away from 0 to 120 and then asked about 90 days: as if nothing were known of the start."""
    rng = np.random.default_rng(2)
    start, ever = np.zeros(N), np.full(N, 2_000.0)
    days = law(N).days_until_return(start, ever, rng.standard_exponential(N))
    still = days >= 120
    chance = law(1).probability(np.array([120.0]), np.array([210.0]))[0]
    seen = (days[still] < 210).mean()
    assert abs(seen - chance) < 4 * np.sqrt(chance * (1 - chance) / still.sum())


def test_probabilities_of_adjoining_spans_multiply() -> None:
    spans = [(0.0, 33.0), (33.0, 250.25), (250.25, 700.0)]
    away = [1 - law(1).probability(np.array([a]), np.array([b]))[0] for a, b in spans]
    whole = 1 - law(1).probability(np.array([0.0]), np.array([700.0]))[0]
    assert np.prod(away) == pytest.approx(whole, rel=1e-12)


def test_nobody_returns_in_the_first_month_and_the_chance_falls_afterwards() -> None:
    since = np.array([0.0, 30.0, 90.0, 180.0, 360.0, 3_000.0])
    assert law(1).probability(np.zeros(1), np.array([30.0]))[0] == 0.0
    chance = law(6).probability(since, since + HAZARD_DAYS)
    assert (np.diff(chance[1:]) < 0).all()
    assert chance[0] < chance[1]


def test_those_gone_for_good_hardly_return_whenever_asked() -> None:
    since = np.array([30.0, 1_000.0])
    chance = law(2, logit=5.0, gone=True).probability(since, since + HAZARD_DAYS)
    np.testing.assert_allclose(chance, GONE_FOR_GOOD)
