"""Lifetimes of simulated customers, month by month: moods, messages, and why they leave.

A customer is content, upset (after a failure of the service, until it passes or is mended) or
fading (needs the service less and less). The mood and the customer's traits decide what a month
brings, and all that makes customers leave shows in the events: use falls, complaints are opened,
bills are bought at a discount.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .people import People
from .world import (
    BOTH,
    COMPETITOR,
    DAY,
    MONTH,
    MOVED,
    NEED_GONE,
    PRICE,
    REASONS,
    RETENTION_FACTORS,
    SERVICE,
    SLEEPS_BELOW,
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
LEAVES_FROM, LEAVES_WITHIN = 0.3, 0.69  # of a month, in which the moments of leaving lie


@dataclass(frozen=True)
class Lives:
    """Lifetimes that begin, one array element per lifetime.

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
        The previous reason never applies again; where False, it is stronger than before.
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
    """What came of lifetimes: a row per lifetime, per month lived, and per spell of being upset.

    Attributes
    ----------
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

    ended_at: np.ndarray
    reason: np.ndarray
    month_life: np.ndarray
    month: np.ndarray
    mood: np.ndarray
    contacted: np.ndarray
    upset_life: np.ndarray
    upset_month: np.ndarray
    calm_month: np.ndarray


def hazards(people: People, lives: Lives) -> np.ndarray:
    """Monthly hazard of leaving by mood and reason, (3, reasons, lives).

    A cured customer does not leave for the previous reason again; who is not cured does so more.
    The end of a welcome discount and messages change it further, see `live`.
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


@dataclass
class _Diary:
    """Collects what the months of all lifetimes bring."""

    n_lives: int
    months: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    begun: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    passed: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    n_spells: int = 0

    def __post_init__(self) -> None:
        self.spell = np.full(self.n_lives, -1, dtype=np.int64)

    def note(
        self, life: np.ndarray, month: int, was: np.ndarray, now: np.ndarray, sent: np.ndarray
    ) -> None:
        """One month: moods before and after it began, and whether a message was sent."""
        upset = life[(was == CONTENT) & (now == UPSET)]
        calm = life[(was == UPSET) & (now == CONTENT)]
        self.passed.append((self.spell[calm], np.full(len(calm), month, dtype=np.int16)))
        self.begun.append((upset, np.full(len(upset), month, dtype=np.int16)))
        self.spell[upset] = self.n_spells + np.arange(len(upset))
        self.n_spells += len(upset)
        ages = np.full(len(life), month, dtype=np.int16)
        self.months.append((life.astype(np.int32), ages, now, sent))

    def close(self, ended_at: np.ndarray, reason: np.ndarray) -> Lived:
        """Everything noted, as arrays."""
        life, age, mood, sent = (np.concatenate(parts) for parts in zip(*self.months, strict=True))
        upset_life, upset_month = (np.concatenate(part) for part in zip(*self.begun, strict=True))
        calm_month = np.full(self.n_spells, -1, dtype=np.int16)
        for spell, when in self.passed:
            calm_month[spell] = when
        return Lived(ended_at, reason, life, age, mood, sent, upset_life, upset_month, calm_month)


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
    welcome = people.welcome[lives.customer] & (lives.number == 1)
    again = lives.number > 1
    mood = np.zeros(n, dtype=np.int8)
    ended = np.full(n, ALIVE, dtype=np.int64)
    reason = np.full(n, ALIVE, dtype=np.int8)
    diary = _Diary(n)
    alive, month = np.arange(n), 0
    while True:
        alive = alive[lives.started_at[alive] + month * MONTH < world.as_of]
        if month and not len(alive):
            return diary.close(ended, reason)
        chance, message, leave, part = rng.random((4, len(alive)), dtype=np.float32)
        was = mood[alive]
        now = _next_mood(people, lives.customer[alive], was, chance)
        sent = message < lives.contact_chance[alive]
        mood[alive] = now
        diary.note(alive, month, was, now, sent)
        risk = hazard[now, :, alive]
        after_welcome = welcome[alive] & (WELCOME_MONTHS <= month < WELCOME_MONTHS + 3)
        risk[:, PRICE] *= np.where(after_welcome, AFTER_WELCOME, 1.0)
        risk *= np.where(again[alive] & sent, CONTACT_RELIEF, 1.0)[:, None]
        if world.retention:
            risk *= _of_retention(people, lives, alive, month, world)
        total = np.cumsum(risk, axis=1)
        age = month + LEAVES_FROM + LEAVES_WITHIN * part
        end = lives.started_at[alive] + (age * MONTH).astype(np.int64)
        leaves = (leave < total[:, -1]) & (end < world.as_of)
        ended[alive[leaves]] = end[leaves]
        reason[alive[leaves]] = (leave[leaves, None] >= total[leaves]).sum(axis=1)
        alive, month = alive[~leaves], month + 1


def _of_retention(
    people: People, lives: Lives, alive: np.ndarray, month: int, world: World
) -> np.ndarray:
    """What offers to active customers make of the hazards of a month, (lives, reasons)."""
    start = lives.started_at[alive]
    since = start + month * MONTH - world.retention_at
    acts = (since >= 0) & (since < world.churn_horizon_days * DAY)
    acts &= (start < world.retention_at) & (lives.number[alive] == 1)
    customer = lives.customer[alive]
    offer = np.where(acts, people.retention_offer[customer], 0)
    return np.asarray(RETENTION_FACTORS[_sleeps(people, customer), offer])


def _sleeps(people: People, customer: np.ndarray) -> np.ndarray:
    """1 for customers who hardly use what they pay for, and whom an offer wakes; else 0."""
    return (people.usage[customer] < SLEEPS_BELOW).astype(np.int64)


def next_moods(people: People, customer: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shares of each mood a month later, (3, lives), of those who do not leave."""
    upset, calm = people.upset_chance[customer], people.recovery_chance[customer]
    content, angry, fading = shares
    return np.stack(
        [
            content * (1 - upset - FADE_CHANCE) + angry * calm,
            angry * (1 - calm) + content * upset,
            fading + content * FADE_CHANCE,
        ]
    )


def churn_probability(
    people: People,
    lives: Lives,
    mood: np.ndarray,
    contacted: np.ndarray,
    *,
    world: World,
    at: int | None = None,
    offer: int = 0,
) -> np.ndarray:
    """True probability that active customers leave within the churn horizon, (lives,).

    Exact given what no table shows: traits, this month's mood, whether a return was cured.

    Parameters
    ----------
    people, lives
        Traits, and the lifetimes that go on at that moment.
    mood, contacted
        (lives,) mood of the current month of each, and whether a message was sent in it.
    world
        Gives the end of the data and the horizon.
    at
        Second of the moment; None for the end of the data.
    offer
        What all of them are offered then (index into RETENTION_OFFERS); it acts from the next month
        on.
    """
    age = ((world.as_of if at is None else at) - lives.started_at) / MONTH
    until = age + world.churn_horizon_days * DAY / MONTH
    month = np.floor(age)
    month -= month == age  # a month that begins at that moment is not lived yet
    table = hazards(people, lives)
    welcome = people.welcome[lives.customer] & (lives.number == 1)
    again = lives.number > 1
    moods = (mood == np.arange(3)[:, None]).astype(float)
    message = contacted.astype(float)
    left = np.zeros(len(age))
    for step in range(int(np.ceil(world.churn_horizon_days * DAY / MONTH)) + 1):
        if step:
            moods = next_moods(people, lives.customer, moods)
            message = lives.contact_chance
        if step == 1:
            table *= RETENTION_FACTORS[_sleeps(people, lives.customer), offer].T
        price = table[:, PRICE]
        now = month + step
        after_welcome = welcome & (now >= WELCOME_MONTHS) & (now < WELCOME_MONTHS + 3)
        risk = table.sum(axis=1) + price * np.where(after_welcome, AFTER_WELCOME - 1, 0.0)
        risk *= np.where(again, 1 - message * (1 - CONTACT_RELIEF), 1.0)
        risk = np.minimum(risk, 1.0)
        # Share of this month's leavers who leave before that moment, and before the horizon.
        before = np.clip((age - now - LEAVES_FROM) / LEAVES_WITHIN, 0.0, 1.0)
        by_then = np.clip((until - now - LEAVES_FROM) / LEAVES_WITHIN, 0.0, 1.0)
        still = np.maximum(1 - risk * before, 1e-12)  # 0 in moods that nobody active is in
        left += (moods * risk * (by_then - before) / still).sum(axis=0)
        moods = moods * (1 - risk) / still
    return left


def _next_mood(
    people: People, customer: np.ndarray, mood: np.ndarray, chance: np.ndarray
) -> np.ndarray:
    """Mood of the coming month: content ones may become upset or fade, upset ones calm down."""
    upset = (mood == CONTENT) & (chance < people.upset_chance[customer])
    fading = (mood == CONTENT) & (chance > 1 - FADE_CHANCE)
    calm = (mood == UPSET) & (chance < people.recovery_chance[customer])
    return np.select([upset, fading, calm], [UPSET, FADING, CONTENT], mood).astype(np.int8)
