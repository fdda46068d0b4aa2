"""Lifetimes of simulated customers, month by month: bills, moods, contacts, and why they leave.

A customer is content, upset (a failure of the service; it passes or is mended) or fading (needs
the service less and less). What a month brings depends on that mood and on the customer's traits,
and everything that drives leaving also shows in the events: use falls, complaints are opened,
bills are bought at a discount. All customers live one month of their lifetime at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .world import (
    BOTH,
    COMPETITOR,
    DAY,
    MONTH,
    MOVED,
    NEED_GONE,
    PRICE,
    REASONS,
    SERVICE,
    World,
)

CONTENT, UPSET, FADING = 0, 1, 2
ALIVE = -1
WELCOME_MONTHS = 6
AFTER_WELCOME = 2.8

HAZARD = np.zeros((3, len(REASONS)))
HAZARD[:, PRICE] = 0.0118
HAZARD[:, COMPETITOR] = 0.0038
HAZARD[:, MOVED] = 0.0023
HAZARD[CONTENT, SERVICE], HAZARD[UPSET, SERVICE], HAZARD[FADING, SERVICE] = 0.0014, 0.066, 0.0014
HAZARD[CONTENT, BOTH], HAZARD[UPSET, BOTH], HAZARD[FADING, BOTH] = 0.0005, 0.0240, 0.0005
HAZARD[FADING, NEED_GONE] = 0.20
FADE_CHANCE = 0.0032
CURED_SHARE = 0.55
RELAPSE = 3.5
CONTACT_RELIEF = 0.55
PLANS = ("basic", "plus", "premium")
PLAN_PRICE = np.array([66.0, 84.0, 108.0])


@dataclass(frozen=True)
class People:
    """Traits of customers, one array element each; none of them is a column of any table.

    `upset_chance` and `recovery_chance` are monthly; `contact_chance` is the monthly probability
    of a message in the first lifetime; `vocal` customers complain when upset, others never do.
    """

    signed_up_at: np.ndarray
    price_sensitivity: np.ndarray
    appetite: np.ndarray
    usage: np.ndarray
    advocacy: np.ndarray
    upset_chance: np.ndarray
    recovery_chance: np.ndarray
    contact_chance: np.ndarray
    vocal: np.ndarray
    welcome: np.ndarray
    plan: np.ndarray
    price: np.ndarray

    def take(self, rows: np.ndarray) -> People:
        """The same traits for a selection of customers."""
        return People(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Lives:
    """Lifetimes about to be lived, one array element each.

    Attributes
    ----------
    customer
        Row in `People`.
    number
        1 for the first lifetime of a customer, 2 for the second, 3 for the third.
    started_at
        Second of the first bill.
    price
        Regular monthly bill.
    contact_chance
        Probability of a message in a month.
    hazard_factor
        Multiplies every hazard.
    previous_reason
        Why the previous lifetime ended (index into REASONS), -1 in the first.
    cured
        The previous reason is gone for good; without it, it comes back stronger.
    """

    customer: np.ndarray
    number: np.ndarray
    started_at: np.ndarray
    price: np.ndarray
    contact_chance: np.ndarray
    hazard_factor: np.ndarray
    previous_reason: np.ndarray
    cured: np.ndarray


@dataclass(frozen=True)
class Lived:
    """What came of them: one row per lifetime, per month lived, and per spell of being upset.

    Attributes
    ----------
    bills
        Months paid, per lifetime.
    ended_at
        Second of leaving, -1 while it goes on.
    reason
        True reason (index into REASONS), -1 while it goes on.
    month_life, month, mood, contacted
        Per month lived: the lifetime, how many months it was old, the mood, whether a message
        was sent.
    upset_life, upset_month, calm_month
        Per spell: the lifetime, the month in which it began, the month in which it passed (-1:
        never).
    """

    bills: np.ndarray
    ended_at: np.ndarray
    reason: np.ndarray
    month_life: np.ndarray
    month: np.ndarray
    mood: np.ndarray
    contacted: np.ndarray
    upset_life: np.ndarray
    upset_month: np.ndarray
    calm_month: np.ndarray


def draw_people(world: World, *, rng: np.random.Generator) -> People:
    """Customers who sign up from ten years before the window to the end of the tail.

    A few percent more than needed: `simulate` drops the surplus at random so that the number of
    leavers is exact.
    """
    growth = world.monthly_growth
    span = (world.as_of - world.window_starts_at) / MONTH
    active = _active_at_start(world)
    rate = active * (0.030 + growth)
    surplus = 1.06 + 6 / np.sqrt(world.n_leavers)
    past = 120.0
    if growth > 0:
        count = rate * (np.exp(growth * span) - np.exp(-growth * past)) / growth
        place = rng.random(int(np.ceil(count * surplus)))
        low, high = np.exp(-growth * past), np.exp(growth * span)
        months = np.log(low + place * (high - low)) / growth
    else:
        count = rate * (span + past)
        months = rng.random(int(np.ceil(count * surplus))) * (span + past) - past
    n = len(months)
    sensitivity, appetite, usage = rng.standard_normal((3, n))
    advocacy = rng.gamma(0.7, 0.030, n)
    upset = np.minimum(0.036 * np.exp(0.6 * rng.standard_normal(n)), 0.4)
    contact = np.minimum(0.059 * np.exp(0.85 * rng.standard_normal(n)), 0.6)
    vocal = rng.random(n) < 0.088
    welcome = rng.random(n) < 0.5
    plan = np.digitize(appetite + rng.standard_normal(n), [0.1, 1.3])
    price = PLAN_PRICE[plan] * np.exp(0.12 * rng.standard_normal(n) - 0.0072)
    return People(
        signed_up_at=(world.window_starts_at + months * MONTH).astype(np.int64),
        price_sensitivity=sensitivity,
        appetite=appetite,
        usage=usage,
        advocacy=advocacy,
        upset_chance=upset,
        recovery_chance=np.where(vocal, 0.20, 0.23),
        contact_chance=contact,
        vocal=vocal,
        welcome=welcome,
        plan=plan.astype(np.int8),
        price=np.round(price, 2),
    )


def _active_at_start(world: World) -> float:
    """Customers at the start of the window so that about `n_leavers` leave within it."""
    growth, months = world.monthly_growth, world.window_months
    total = (np.exp(growth * months) - 1) / growth if growth > 0 else float(months)
    return world.n_leavers / (0.030 * total)


def hazards(people: People, lives: Lives) -> np.ndarray:
    """Monthly hazard of leaving by mood and reason, (3, reasons, lives), before what a month adds.

    A cured customer does not leave for the previous reason again; another one does so more.
    """
    owner = lives.customer
    table = np.repeat(HAZARD[:, :, None], len(owner), axis=2)
    price = np.exp(0.55 * people.price_sensitivity[owner] - 0.15)
    table[:, PRICE] *= price
    table[:, BOTH] *= price
    table[:, COMPETITOR] *= np.exp(-0.45 * people.usage[owner] - 0.10)
    again = np.flatnonzero(lives.previous_reason >= 0)
    reason = lives.previous_reason[again]
    table[:, reason, again] *= np.where(lives.cured[again], 0.0, RELAPSE)
    table *= lives.hazard_factor
    return table


def live(people: People, lives: Lives, *, world: World, rng: np.random.Generator) -> Lived:
    """Live all lifetimes to their end or to the end of the data.

    Parameters
    ----------
    people, lives
        Traits, and the lifetimes to live.
    world
        Gives the end of the data.
    rng
        Random draws, one block per month of lifetime.
    """
    n = len(lives.customer)
    hazard = hazards(people, lives)
    owner = lives.customer
    upset_chance, recovery = people.upset_chance[owner], people.recovery_chance[owner]
    welcome = people.welcome[owner] & (lives.number == 1)
    again = lives.number > 1
    mood = np.zeros(n, dtype=np.int8)
    spell = np.full(n, -1, dtype=np.int64)
    bills = np.zeros(n, dtype=np.int32)
    ended = np.full(n, ALIVE, dtype=np.int64)
    reason = np.full(n, ALIVE, dtype=np.int8)
    months: list[tuple[np.ndarray, ...]] = []
    spells: list[tuple[np.ndarray, np.ndarray]] = []
    calms: list[tuple[np.ndarray, np.ndarray]] = []
    n_spells = 0
    alive = np.arange(n)
    month = 0
    while True:
        alive = alive[lives.started_at[alive] + month * MONTH < world.as_of]
        if not len(alive):
            break
        chance, sent, leave, part = rng.random((4, len(alive)), dtype=np.float32)
        was = mood[alive]
        upset = (was == CONTENT) & (chance < upset_chance[alive])
        fading = (was == CONTENT) & (chance > 1 - FADE_CHANCE)
        calm = (was == UPSET) & (chance < recovery[alive])
        now = np.where(upset, UPSET, np.where(fading, FADING, np.where(calm, CONTENT, was)))
        mood[alive] = now
        calms.append((spell[alive[calm]], np.full(int(calm.sum()), month)))
        spells.append((alive[upset], np.full(int(upset.sum()), month)))
        spell[alive[upset]] = n_spells + np.arange(int(upset.sum()))
        n_spells += int(upset.sum())
        contacted = sent < lives.contact_chance[alive]
        ages = np.full(len(alive), month, np.int16)
        months.append((alive.astype(np.int32), ages, now.astype(np.int8), contacted))
        bills[alive] += 1
        risk = hazard[now, :, alive]
        after_welcome = welcome[alive] & (WELCOME_MONTHS <= month < WELCOME_MONTHS + 3)
        risk[:, PRICE] *= np.where(after_welcome, AFTER_WELCOME, 1.0)
        risk *= np.where(again[alive] & contacted, CONTACT_RELIEF, 1.0)[:, None]
        total = np.cumsum(risk, axis=1)
        leaves = leave < total[:, -1]
        end = lives.started_at[alive] + ((month + 0.3 + 0.69 * part) * MONTH).astype(np.int64)
        leaves &= end < world.as_of
        gone = alive[leaves]
        ended[gone] = end[leaves]
        reason[gone] = (leave[leaves, None] >= total[leaves]).sum(axis=1)
        alive = alive[~leaves]
        month += 1
    month_life, month_age, month_mood, month_contacted = (
        np.concatenate([block[part] for block in months]) for part in range(4)
    )
    calm_month = np.full(n_spells, -1, dtype=np.int16)
    for which, when in calms:
        calm_month[which] = when
    return Lived(
        bills=bills,
        ended_at=ended,
        reason=reason,
        month_life=month_life,
        month=month_age,
        mood=month_mood,
        contacted=month_contacted,
        upset_life=np.concatenate([which for which, _ in spells]),
        upset_month=np.concatenate([when for _, when in spells]).astype(np.int16),
        calm_month=calm_month,
    )


def expected_bills(people: People, lives: Lives, *, months: int, weights: np.ndarray) -> np.ndarray:
    """Expected number of bills of later lifetimes, weighted by month; exact, without simulation.

    Parameters
    ----------
    people, lives
        Traits and lifetimes; `cured` is averaged out, `lives.contact_chance` too.
    months
        Months to look ahead.
    weights
        (months,) weight of each month's bill: the chance that it falls within the horizon.

    Returns
    -------
    np.ndarray
        (lives,) expected bills.
    """
    owner = lives.customer
    upset, calm = people.upset_chance[owner], people.recovery_chance[owner]
    relief = 1 - lives.contact_chance * (1 - CONTACT_RELIEF)
    result = np.zeros(len(owner))
    for cured, share in ((True, CURED_SHARE), (False, 1 - CURED_SHARE)):
        group = Lives(**(vars(lives) | {"cured": np.full(len(owner), cured)}))
        risk = hazards(people, group).sum(axis=1) * relief
        content, angry, fading = np.ones(len(owner)), np.zeros(len(owner)), np.zeros(len(owner))
        for month in range(months):
            angry, content, fading = (
                angry * (1 - calm) + content * upset,
                content * (1 - upset - FADE_CHANCE) + angry * calm,
                fading + content * FADE_CHANCE,
            )
            result += share * weights[month] * (content + angry + fading)
            content = content * (1 - risk[CONTENT])
            angry = angry * (1 - risk[UPSET])
            fading = fading * (1 - risk[FADING])
    return result


def horizon_weights(world: World) -> np.ndarray:
    """Chance that the bill of each month after the return falls within the value horizon."""
    months = int(np.ceil(world.value_horizon_days * DAY / MONTH))
    slack = world.value_horizon_days - np.arange(months) * MONTH / DAY
    return delay_share(slack, world)


def delay_share(days: np.ndarray, world: World) -> np.ndarray:
    """Share of returns that come within so many days of the offer."""
    place = np.clip((days - 1.0) / (world.return_window_days - 2.0), 0.0, 1.0)
    return 1 - (1 - place) ** 3


def draw_delay(n: int, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Days from offer to return, (n,): soon more often than late, within the return window."""
    return 1.0 + (world.return_window_days - 2.0) * (1 - (1 - rng.random(n)) ** (1 / 3))
