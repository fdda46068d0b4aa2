"""Events of simulated lifetimes: bills, use, complaints, referrals, messages.

`happen` draws them month by month; `History` sums them up per customer, which decides on returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lives import ALIVE, WELCOME_MONTHS, Lived, Lives
from .people import People
from .world import DAY, MONTH, World

MARGIN_RATE = 0.81
PROMOTION_DEPTH = 0.20
WELCOME_DEPTH = 0.15
MENDED = 0.40


@dataclass(frozen=True)
class Wave:
    """A set of lifetimes with their events.

    Arrays `promotion`, `use`, `premium` run along `lived.month_life`; `complaint_*` along the
    complaints (`complaint_life` is a row of `lives`, `resolved_at` is -1 while open, `cause` is 1
    for a human fault); `referral_*` along the referrals.
    """

    lives: Lives
    lived: Lived
    promotion: np.ndarray
    use: np.ndarray
    premium: np.ndarray
    complaint_life: np.ndarray
    opened_at: np.ndarray
    resolved_at: np.ndarray
    severity: np.ndarray
    human: np.ndarray
    referral_life: np.ndarray
    referred_at: np.ndarray


def promotion_chance(people: People) -> np.ndarray:
    """Monthly chance that a customer buys at a promotion, (customers,), by price sensitivity."""
    return 1 / (1 + np.exp(1.6 - 1.1 * people.price_sensitivity))


def monthly_margin(people: People, lives: Lives) -> np.ndarray:
    """Expected margin of a month, (lives,), in currency units, the welcome discount left out."""
    return lives.price * (MARGIN_RATE - PROMOTION_DEPTH * promotion_chance(people)[lives.customer])


def happen(
    people: People, lives: Lives, lived: Lived, *, world: World, rng: np.random.Generator
) -> Wave:
    """Draw the events of lived lifetimes; nothing happens at or after the end of the data."""
    n = len(lived.month_life)
    owner = lives.customer[lived.month_life]
    promotion = rng.random(n, dtype=np.float32) < promotion_chance(people)[owner]
    damping = np.array([1.0, 0.72, 0.35], dtype=np.float32)[lived.mood]
    level = np.exp(3.2 + 0.5 * people.usage).astype(np.float32)[owner]
    use = level * damping * np.exp(0.12 * rng.standard_normal(n, dtype=np.float32))
    appetite = np.exp(-0.55 + 0.95 * people.appetite)[owner]
    premium = rng.poisson(np.minimum(appetite, 12.0) * damping).astype(np.int16)

    refers = rng.random(n, dtype=np.float32) < people.advocacy[owner] * (lived.mood == 0)
    referral_life = lived.month_life[refers]
    referred_at = _moment(lives, referral_life, lived.month[refers], rng=rng)
    before_end = referred_at < world.as_of
    referral_life, referred_at = referral_life[before_end], referred_at[before_end]

    spoken = people.vocal[lives.customer[lived.upset_life]]
    complaint_life = lived.upset_life[spoken]
    opened = _moment(lives, complaint_life, lived.upset_month[spoken], rng=rng)
    calm_month = lived.calm_month[spoken]
    resolved = _moment(lives, complaint_life, calm_month, rng=rng)
    resolved = np.where((calm_month < 0) | (resolved >= world.as_of), -1, resolved)
    severity = 1 + rng.integers(0, 3, len(opened))
    human = rng.random(len(opened)) < 0.4
    before_end = opened < world.as_of
    return Wave(
        lives=lives,
        lived=lived,
        promotion=promotion,
        use=np.round(use, 1),
        premium=premium,
        complaint_life=complaint_life[before_end],
        opened_at=opened[before_end],
        resolved_at=resolved[before_end],
        severity=severity[before_end],
        human=human[before_end],
        referral_life=referral_life,
        referred_at=referred_at,
    )


def _moment(
    lives: Lives, life: np.ndarray, month: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """A moment in the first days of a month of a lifetime, after its bill, before any leaving."""
    part = month + 0.02 + 0.25 * rng.random(len(life))
    return lives.started_at[life] + (part * MONTH).astype(np.int64)


def bill_moments(wave: Wave) -> np.ndarray:
    """Second of each bill, along `lived.month_life`."""
    lived = wave.lived
    return wave.lives.started_at[lived.month_life] + lived.month.astype(np.int64) * MONTH


def bill_amounts(people: People, wave: Wave) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Amount paid, margin and discount of each bill, rounded to cents.

    The cost of serving is a share of the regular price, so a discount comes out of the margin.
    """
    lives, lived = wave.lives, wave.lived
    price = lives.price[lived.month_life]
    welcome = people.welcome[lives.customer] & (lives.number == 1)
    depth = PROMOTION_DEPTH * wave.promotion
    depth += WELCOME_DEPTH * (welcome[lived.month_life] & (lived.month < WELCOME_MONTHS))
    discount = np.round(price * depth, 2)
    amount = np.round(price - discount, 2)
    return amount, np.round(amount - (1 - MARGIN_RATE) * price, 2), discount


@dataclass(frozen=True)
class History:
    """What happened to customers until they left; `reason` and `spells` show in no table.

    Sums run over all lifetimes so far: bills, bills at a promotion, premium uses, money paid,
    margin earned, complaints, harm (see `complaint_harm`), referrals, spells of being upset.
    `contacts_year` counts the messages of the last 365 days before leaving.
    """

    lives: np.ndarray
    bills: np.ndarray
    promotions: np.ndarray
    premium: np.ndarray
    spend: np.ndarray
    margin: np.ndarray
    complaints: np.ndarray
    harm: np.ndarray
    referrals: np.ndarray
    spells: np.ndarray
    contacts_year: np.ndarray
    departed_at: np.ndarray
    reason: np.ndarray

    def take(self, rows: np.ndarray) -> History:
        """The same history for a selection of customers."""
        return History(**{name: values[rows] for name, values in vars(self).items()})


def no_history(n: int) -> History:
    """Customers before their first bill."""
    counts = ("lives", "bills", "promotions", "complaints", "referrals", "spells", "contacts_year")
    sums = ("premium", "spend", "margin", "harm")
    start: dict[str, np.ndarray] = {name: np.zeros(n, dtype=np.int64) for name in counts}
    start |= {name: np.zeros(n) for name in sums}
    start |= {"departed_at": np.full(n, ALIVE), "reason": np.full(n, ALIVE, dtype=np.int8)}
    return History(**start)


def complaint_harm(severity: np.ndarray, human: np.ndarray, resolved: np.ndarray) -> np.ndarray:
    """Harm of a complaint to the wish to return, in log odds; mending it takes away three fifths.

    The graver the worse, and the faults of people are worse than those of machines.
    """
    return (0.30 + 0.20 * (severity - 1) + 0.35 * human) * np.where(resolved, MENDED, 1.0)


def remember(history: History, people: People, wave: Wave) -> History:
    """The history with one more wave of lifetimes."""
    lives, lived = wave.lives, wave.lived
    n = len(history.lives)
    owner = lives.customer[lived.month_life]
    amount, margin, _ = bill_amounts(people, wave)

    def total(rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(rows, weights=weights, minlength=n)

    ended, reason = history.departed_at.copy(), history.reason.copy()
    ended[lives.customer], reason[lives.customer] = lived.ended_at, lived.reason
    complainer = lives.customer[wave.complaint_life]
    sent = np.flatnonzero(lived.contacted)
    moments = bill_moments(wave)[sent]
    recent = moments >= lived.ended_at[lived.month_life[sent]] - 365 * DAY
    contacts = history.contacts_year.copy()
    contacts[lives.customer] = 0
    contacts += total(owner[sent[recent]])
    harm = complaint_harm(wave.severity, wave.human, wave.resolved_at >= 0)
    return History(
        lives=history.lives + total(lives.customer),
        bills=history.bills + total(owner),
        promotions=history.promotions + total(owner[wave.promotion]),
        premium=history.premium + total(owner, wave.premium),
        spend=history.spend + total(owner, amount),
        margin=history.margin + total(owner, margin),
        complaints=history.complaints + total(complainer),
        harm=history.harm + total(complainer, harm),
        referrals=history.referrals + total(lives.customer[wave.referral_life]),
        spells=history.spells + total(lives.customer[lived.upset_life]),
        contacts_year=contacts,
        departed_at=ended,
        reason=reason,
    )
