"""What a simulated return is worth: the lifetime it begins, its bills, the profit of an offer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .events import History, monthly_margin
from .lives import CONTACT_RELIEF, CURED_SHARE, Lives, hazards, next_moods
from .people import People
from .world import DAY, MONTH, OFFER_COST, OFFERS, World

NONE = OFFERS.index("none")
CARE = (0.08, 0.50)
AGAIN_HAZARD = 1.015
THIRD_HAZARD = 1.35
OFFER_HAZARD = np.array([1.02, 1.0, 0.90, 1.10])
AGAIN_REASON_HAZARD = np.array([0.88, 1.08, 1.10, 1.0, 1.0, 1.0])
AGAIN_REASON_PRICE = np.array([0.96, 1.05, 1.0, 1.0, 1.0, 1.0])
UNASKED_PRICE = 0.89


def second_lives(
    history: History,
    people: People,
    customer: np.ndarray,
    *,
    offer: np.ndarray,
    started_at: np.ndarray,
    contact_chance: np.ndarray,
    cured: np.ndarray,
    price_level: np.ndarray,
    effect_strength: float,
) -> Lives:
    """Lifetimes that returns begin; `customer` are rows of `people`, `history` is theirs."""
    strength = (OFFER_HAZARD / OFFER_HAZARD[NONE]) ** effect_strength * OFFER_HAZARD[NONE]
    level = price_level[NONE] * (price_level / price_level[NONE]) ** effect_strength
    hazard = AGAIN_HAZARD * AGAIN_REASON_HAZARD[history.reason] * strength[offer]
    price = people.price[customer] * AGAIN_REASON_PRICE[history.reason] * level[offer]
    return Lives(
        customer=customer,
        number=history.lives + 1,
        started_at=started_at,
        price=np.round(price, 2),
        contact_chance=contact_chance,
        hazard_factor=hazard * np.where(history.lives >= 2, THIRD_HAZARD, 1.0),
        previous_reason=history.reason.astype(np.int64),
        cured=cured,
    )


def value_of_return(
    history: History,
    people: People,
    customer: np.ndarray,
    price_level: np.ndarray,
    *,
    world: World,
) -> tuple[np.ndarray, np.ndarray]:
    """Expected margin and months of the lifetime that a return begins, (customers, offers) each.

    Within the value horizon of the offer, given that the customer returns.
    """
    n = len(customer)
    weights = horizon_weights(world)
    values, months = np.empty((n, len(OFFERS))), np.zeros((n, len(OFFERS)))
    for offer in range(len(OFFERS)):
        for care in CARE:
            lives = second_lives(
                history,
                people,
                customer,
                offer=np.full(n, offer),
                started_at=np.zeros(n, dtype=np.int64),
                contact_chance=np.full(n, care),
                cured=np.zeros(n, dtype=bool),
                price_level=price_level,
                effect_strength=world.effect_strength,
            )
            bills = expected_bills(people, lives, weights=weights[offer])
            months[:, offer] += bills / len(CARE)
        values[:, offer] = months[:, offer] * monthly_margin(people, lives)
    return values, months


def profit(probability: np.ndarray, value: np.ndarray, *, world: World) -> np.ndarray:
    """Expected profit per offer, (customers, offers): value less accepted cost, less contact."""
    cost = np.array([OFFER_COST[offer] for offer in OFFERS])
    contact = np.where(np.arange(len(OFFERS)) == NONE, 0.0, world.contact_cost)
    return probability * (value - cost) - contact


def expected_bills(people: People, lives: Lives, *, weights: np.ndarray) -> np.ndarray:
    """Expected number of bills of later lifetimes, weighted by month; exact, without simulation.

    Parameters
    ----------
    people, lives
        Traits and lifetimes; whether they are cured, and when messages come, is averaged over.
    weights
        (months,) weight of each month's bill: the chance that it falls within the horizon.

    Returns
    -------
    np.ndarray
        (lives,) expected bills.
    """
    owner = lives.customer
    relief = 1 - lives.contact_chance * (1 - CONTACT_RELIEF)
    result = np.zeros(len(owner))
    for cured, share in ((True, CURED_SHARE), (False, 1 - CURED_SHARE)):
        group = replace(lives, cured=np.full(len(owner), cured))
        stays = 1 - np.minimum(hazards(people, group).sum(axis=1) * relief, 1.0)
        moods = np.zeros((3, len(owner)))
        moods[0] = 1.0
        for weight in weights:
            moods = next_moods(people, owner, moods)
            result += share * weight * moods.sum(axis=0)
            moods = moods * stays
    return result


def horizon_weights(world: World) -> np.ndarray:
    """Chance that the bill of each month after a return falls within the value horizon.

    (offers, months): the later the return, the fewer bills.
    """
    months = int(np.ceil(world.value_horizon_days * DAY / MONTH))
    slack = world.value_horizon_days - np.arange(months) * MONTH / DAY
    unasked = np.clip(slack / world.return_window_days, 0.0, 1.0)
    asked = unasked + world.effect_strength * (delay_share(slack, world) - unasked)
    return np.stack([unasked if offer == NONE else asked for offer in range(len(OFFERS))])


def delay_share(days: np.ndarray, world: World) -> np.ndarray:
    """Share of the returns to an offer that come within so many days of it."""
    part = np.clip((days - 1.0) / (world.return_window_days - 2.0), 0.0, 1.0)
    return 1 - (1 - part) ** 3


def draw_delay(offer: np.ndarray, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Days from a moment to a return within the return window, (n,), by the offer sent then.

    After an offer soon more often than late; without one on any day alike, which is the law of
    returning unasked up to its slow decline within the window.
    """
    kind, part = rng.random((2, len(offer)))
    soon = 1.0 + (world.return_window_days - 2.0) * (1 - (1 - part) ** (1 / 3))
    prompted = (offer != NONE) & (kind < world.effect_strength)
    return np.where(prompted, soon, part * world.return_window_days)
