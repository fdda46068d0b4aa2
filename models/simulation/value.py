"""What a simulated return is worth: the lifetime it begins, and the profit of an offer."""

from __future__ import annotations

import numpy as np

from .events import History, monthly_margin
from .horizon import expected_bills, horizon_weights
from .lives import Lives
from .people import People
from .world import OFFER_COST, OFFERS, World

NONE = OFFERS.index("none")
CARE = (0.08, 0.50)
AGAIN_HAZARD = 1.015
THIRD_HAZARD = 1.35
OFFER_HAZARD = np.array([1.02, 1.0, 0.90, 1.10])
AGAIN_REASON_HAZARD = np.array([0.88, 1.08, 1.10, 1.0, 1.0, 1.0])
AGAIN_REASON_PRICE = np.array([0.96, 1.05, 1.0, 1.0, 1.0, 1.0])


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
    """Expected margin and months within the horizon, given a return, (customers, offers) each."""
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
            bills = expected_bills(people, lives, months=len(weights), weights=weights)
            months[:, offer] += bills / len(CARE)
        values[:, offer] = months[:, offer] * monthly_margin(people, lives)
    return values, months


def profit(probability: np.ndarray, value: np.ndarray, *, world: World) -> np.ndarray:
    """Expected profit per offer, (customers, offers): value less accepted cost, less contact."""
    cost = np.array([OFFER_COST[offer] for offer in OFFERS])
    contact = np.where(np.arange(len(OFFERS)) == NONE, 0.0, world.contact_cost)
    return probability * (value - cost) - contact
