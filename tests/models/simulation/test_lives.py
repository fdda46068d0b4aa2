"""Lifetimes: hazards, the order of what happens in them, and their expectation in closed form."""

from dataclasses import replace

import numpy as np
import pytest

from winback.models.simulation.lives import (
    ALIVE,
    CURED_SHARE,
    RELAPSE,
    Lives,
    churn_probability,
    hazards,
    live,
)
from winback.models.simulation.people import People, draw_people
from winback.models.simulation.value import (
    delay_share,
    draw_delay,
    expected_bills,
    horizon_weights,
)
from winback.models.simulation.world import DAY, MONTH, PRICE, SERVICE, World

WORLD = World(scale=0.02)


def alike(n: int, **traits: float) -> People:
    """Customers who are all the same."""
    person = draw_people(WORLD, rng=np.random.default_rng(0)).take(np.zeros(n, dtype=int))
    changed = {name: np.full(n, value) for name, value in traits.items()}
    return People(**(vars(person) | changed))


def second(n: int, *, cured: np.ndarray, contact: float = 0.3, reason: int = PRICE) -> Lives:
    return Lives(
        customer=np.arange(n),
        number=np.full(n, 2),
        started_at=np.full(n, WORLD.window_starts_at),
        price=np.full(n, 80.0),
        contact_chance=np.full(n, contact),
        hazard_factor=np.ones(n),
        previous_reason=np.full(n, reason),
        cured=cured,
    )


def test_expected_bills_are_the_mean_of_lived_ones() -> None:
    n = 60_000
    rng = np.random.default_rng(1)
    people = alike(n, price_sensitivity=0.5, upset_chance=0.08, recovery_chance=0.2)
    lives = second(n, cured=rng.random(n) < CURED_SHARE)
    lived = live(people, lives, world=WORLD, rng=rng)
    bills = np.bincount(lived.month_life[lived.month < 24], minlength=n)
    one = expected_bills(people, lives, weights=np.ones(24))[0]
    assert abs(bills.mean() - one) < 4 * bills.std() / np.sqrt(n)


def test_the_cured_do_not_leave_for_the_same_reason_again() -> None:
    people = alike(4_000)
    lives = second(4_000, cured=np.ones(4_000, dtype=bool), reason=SERVICE)
    lived = live(people, lives, world=WORLD, rng=np.random.default_rng(2))
    assert (lived.reason >= 0).sum() > 1_000
    assert not (lived.reason == SERVICE).any()


def test_without_a_cure_the_previous_reason_weighs_more() -> None:
    people = alike(2)
    table = hazards(people, second(2, cured=np.array([True, False])))
    plain = hazards(people, second(2, cured=np.array([False, False]), reason=-1))
    np.testing.assert_allclose(table[:, PRICE, 0], 0.0)
    np.testing.assert_allclose(table[:, PRICE, 1], RELAPSE * plain[:, PRICE, 1])
    np.testing.assert_allclose(table[:, SERVICE], plain[:, SERVICE])


def test_messages_lower_the_churn_of_later_lifetimes() -> None:
    people = alike(2)
    lives = second(2, cured=np.zeros(2, dtype=bool))
    often = Lives(**(vars(lives) | {"contact_chance": np.array([0.0, 0.5])}))
    bills = expected_bills(people, often, weights=np.ones(24))
    assert bills[1] > bills[0] + 1


def test_lifetimes_leave_a_consistent_diary() -> None:
    rng = np.random.default_rng(3)
    n = 3_000
    lives = second(n, cured=rng.random(n) < 0.5)
    lived = live(alike(n), lives, world=WORLD, rng=rng)
    bills = np.bincount(lived.month_life, minlength=n)
    left = lived.ended_at != ALIVE
    assert (left == (lived.reason >= 0)).all()
    months = (lived.ended_at - lives.started_at)[left] / MONTH
    # The last bill comes before the end, and the next one would have come after it.
    assert (bills[left] - 1 < months).all()
    assert (months < bills[left]).all()
    last = lives.started_at[~left] + bills[~left] * MONTH
    assert (last >= WORLD.as_of).all()
    spell = lived.calm_month >= 0
    assert (lived.calm_month[spell] > lived.upset_month[spell]).all()
    assert (lived.upset_month < bills[lived.upset_life]).all()


@pytest.mark.parametrize("number", [1, 2])
def test_active_customers_leave_as_often_as_their_churn_probability_says(number: int) -> None:
    """Lives are lived on beyond the moment at which the probability is asked for."""
    rng = np.random.default_rng(6)
    n = 60_000
    people = draw_people(replace(WORLD, scale=1.0), rng=rng).take(np.arange(n))
    started = WORLD.as_of - (rng.random(n) * 30 * MONTH).astype(np.int64)
    lives = replace(
        second(n, cured=rng.random(n) < 0.5, reason=PRICE if number > 1 else -1),
        number=np.full(n, number),
        started_at=started - 100 * DAY,
    )
    lived = live(people, lives, world=WORLD, rng=rng)
    asked = replace(WORLD, value_horizon_days=WORLD.value_horizon_days - 100)
    known = lives.started_at[lived.month_life] + lived.month.astype(np.int64) * MONTH < asked.as_of
    last = np.zeros(n, dtype=int)
    last[lived.month_life[known]] = np.flatnonzero(known)
    active = np.flatnonzero((lived.ended_at == ALIVE) | (lived.ended_at >= asked.as_of))
    lives = Lives(**{name: values[active] for name, values in vars(lives).items()})
    mood, sent = lived.mood[last[active]], lived.contacted[last[active]]
    chance = churn_probability(people, lives, mood, sent, world=asked)
    ended = lived.ended_at[active]
    left = (ended >= asked.as_of) & (ended < asked.as_of + asked.churn_horizon_days * DAY)
    fifth = np.argsort(np.argsort(chance)) * 5 // len(chance)
    for part in range(5):
        rows = fifth == part
        sd = np.sqrt((chance[rows] * (1 - chance[rows])).sum())
        assert abs(left[rows].sum() - chance[rows].sum()) < 3.5 * sd
    assert chance[fifth == 4].mean() > 3 * chance[fifth == 0].mean()


@pytest.mark.parametrize("offer", [0, 1])
def test_horizon_weights_are_the_share_of_delays_that_leave_room_for_the_bill(offer: int) -> None:
    delay = draw_delay(np.full(100_000, offer), WORLD, rng=np.random.default_rng(4))
    assert delay.min() >= (1 if offer else 0)
    assert delay.max() < WORLD.return_window_days
    weights = horizon_weights(WORLD)[offer]
    months = np.arange(len(weights))[:, None]
    seen = (delay + months * MONTH / DAY < WORLD.value_horizon_days).mean(axis=1)
    np.testing.assert_allclose(weights, seen, atol=0.006)
    assert weights[0] == 1.0
    assert weights[-1] < 1.0


@pytest.mark.parametrize("days", [10.0, 30.0, 60.0])
def test_delays_are_drawn_from_their_distribution(days: float) -> None:
    delay = draw_delay(np.ones(100_000, dtype=int), WORLD, rng=np.random.default_rng(5))
    assert (delay <= days).mean() == pytest.approx(
        delay_share(np.array([days]), WORLD)[0], abs=0.006
    )
