"""Whether a lost customer comes back under each offer, and what the return is worth.

The wish to return is a logit of what the events show; offers add to it by reason and by taste.
Intercepts and price levels are solved so that the means over the experiment are the published
ones exactly; what is ours and what is published stands in the data card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, root

from .simulate_events import History, monthly_margin
from .simulate_horizon import expected_bills, horizon_weights
from .simulate_lives import Lives
from .simulate_people import People
from .world import (
    ACCEPTANCE,
    BOTH,
    MOVED,
    NEED_GONE,
    OFFER_COST,
    OFFERS,
    PRICE,
    SERVICE,
    VALUE_OF_RETURN,
    World,
)

NONE, DISCOUNT, UPGRADE, BUNDLE = range(len(OFFERS))
REASON_LOGIT = np.array([0.0, -0.38, -0.35, -0.25, 0.0, 0.0])
FUTILE = 0.24
GONE_FOR_GOOD = 0.015
LOST_TWICE = 0.4
BACKFIRE = 0.5
TASTE = 0.85
SELF_RETURN = -2.2
CARE = (0.08, 0.50)
AGAIN_HAZARD = 1.015
THIRD_HAZARD = 1.35
OFFER_HAZARD = np.array([1.02, 1.0, 0.90, 1.10])
AGAIN_REASON_HAZARD = np.array([0.88, 1.08, 1.10, 1.0, 1.0, 1.0])
AGAIN_REASON_PRICE = np.array([0.96, 1.05, 1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Solved:
    """Numbers solved so that the means over the experiment are exact.

    Attributes
    ----------
    intercept
        (offers,) of the logit.
    discount_for_price, upgrade_for_price
        What price leavers add to the logit of these two offers.
    price_level
        (offers,) price of the second lifetime relative to the first.
    disturbed_from
        Messages in the year before leaving from which on any offer backfires.
    """

    intercept: np.ndarray
    discount_for_price: float
    upgrade_for_price: float
    price_level: np.ndarray
    disturbed_from: float


def inclination(history: History, lapse_days: np.ndarray) -> np.ndarray:
    """Log odds of returning, up to a constant, (customers,).

    Referrals, a long and rich first relation raise it; complaints (less when mended), the time
    since leaving and reasons other than price lower it.
    """
    months = np.maximum(history.bills, 1)
    tenure = np.clip(np.log(months) - 2.6, -2.0, 1.5)
    spend = np.clip(
        (np.log(np.maximum(history.spend, 1.0) / months) - np.log(78.0)) / 0.22, -2.5, 2.5
    )
    return (
        0.30 * np.minimum(history.referrals, 3)
        - np.minimum(history.harm, 2.5)
        + 0.16 * tenure
        + 0.10 * spend
        - 0.55 * np.log1p(lapse_days / 120.0)
        + REASON_LOGIT[history.reason]
    )


def taste(history: History, lapse_days: np.ndarray) -> np.ndarray:
    """What each offer adds to the log odds beyond the reason, (customers, offers)."""
    months = np.maximum(history.bills, 1)
    bargain = np.clip((history.promotions / months - 0.23) / 0.16, -1.4, 2.2)
    premium = np.clip((np.log1p(history.premium / months) - 0.58) / 0.42, -1.4, 2.2)
    late = np.clip(np.log((lapse_days + 30) / 180.0), -1.5, 1.5)
    return np.column_stack(
        [
            np.zeros(len(months)),
            0.55 * bargain - 0.30 * premium,
            0.55 * premium - 0.30 * bargain,
            0.25 * (bargain + premium) + 0.35 * late,
        ]
    )


def _damped(history: History) -> np.ndarray:
    factor = np.where(history.reason == BOTH, FUTILE, 1.0)
    return factor * np.where(history.lives >= 2, LOST_TWICE, 1.0)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def self_return_probability(history: History) -> np.ndarray:
    """Chance that a customer comes back unasked soon after leaving for the first time."""
    wish = SELF_RETURN + inclination(history, np.full(len(history.bills), 60.0))
    gone = np.isin(history.reason, (MOVED, NEED_GONE))
    return np.where(gone, GONE_FOR_GOOD / 3, _damped(history) * _sigmoid(wish))


class _Odds:
    """Log odds of a set of customers under each offer before intercepts, and their exceptions."""

    def __init__(self, history: History, lapse_days: np.ndarray, world: World) -> None:
        self.history = history
        self.base = inclination(history, lapse_days)
        personal = world.heterogeneity == "default"
        self.taste = TASTE * personal * taste(history, lapse_days)
        self.damped = _damped(history)
        self.gone = np.isin(history.reason, (MOVED, NEED_GONE))
        self.price = history.reason == PRICE

    def probability(self, offer: int, intercept: float, for_price: float = 0.0) -> np.ndarray:
        """Probability under one offer, customers who must not be disturbed left aside."""
        logit = intercept + self.base + self.taste[:, offer] + for_price * self.price
        return np.where(self.gone, GONE_FOR_GOOD, self.damped * _sigmoid(logit))


def return_probability(
    history: History, lapse_days: np.ndarray, solved: Solved, *, world: World
) -> np.ndarray:
    """True probability of returning under each offer, (customers, offers in order of OFFERS)."""
    odds = _Odds(history, lapse_days, world)
    for_price = (0.0, solved.discount_for_price, solved.upgrade_for_price, 0.0)
    full = np.column_stack(
        [
            odds.probability(offer, solved.intercept[offer], for_price[offer])
            for offer in range(len(OFFERS))
        ]
    )
    full = _disturbed(full, history, odds.gone, solved.disturbed_from)
    none = full[:, [NONE]]
    return none + world.effect_strength * (full - none)


def _disturbed(
    probability: np.ndarray, history: History, gone: np.ndarray, threshold: float
) -> np.ndarray:
    touchy = (history.contacts_year >= threshold) & ~gone
    backfired = BACKFIRE * probability[:, [NONE]]
    result = np.where(touchy[:, None], backfired, probability)
    result[:, NONE] = probability[:, NONE]
    return result


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
    effect_strength: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Expected margin and months within the horizon, given a return, (customers, offers) each."""
    n = len(customer)
    strength = world.effect_strength if effect_strength is None else effect_strength
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
                effect_strength=strength,
            )
            bills = expected_bills(people, lives, months=len(weights), weights=weights)
            months[:, offer] += bills / len(CARE)
        values[:, offer] = months[:, offer] * monthly_margin(people, lives)
    return values, months


def solve(
    history: History,
    people: People,
    customer: np.ndarray,
    lapse_days: np.ndarray,
    stated: np.ndarray,
    *,
    world: World,
) -> Solved:
    """Intercepts, the interaction of offer and reason, and price levels from the published means.

    Mean acceptance of discount, upgrade and bundle over the experiment, of the tailored policy
    (upgrade to those who state service, discount to those who state price, either with one half
    to the others) and of no offer are met exactly, and so is the mean value of a return per offer.

    Parameters
    ----------
    history, people, customer, lapse_days
        The customers of the experiment.
    stated
        (customers,) index of the stated reason, -1 where none is stated.
    """
    odds = _Odds(history, lapse_days, world)
    threshold = _threshold(history.contacts_year, world)
    none = brentq(
        lambda a: odds.probability(NONE, a).mean() - world.organic_return, -12.0, 12.0, xtol=1e-12
    )
    backfired = odds.probability(NONE, none)[:, None]
    to_discount = np.where(stated == PRICE, 1.0, np.where(stated == SERVICE, 0.0, 0.5))

    def mean(offer: int, intercept: float, for_price: float = 0.0) -> np.ndarray:
        alone = odds.probability(offer, intercept, for_price)[:, None]
        pair = _disturbed(np.hstack([backfired, alone]), history, odds.gone, threshold)
        return pair[:, 1]

    discount_for_price = 0.20
    discount = brentq(
        lambda a: mean(DISCOUNT, a, discount_for_price).mean() - ACCEPTANCE["discount"],
        -12.0, 12.0, xtol=1e-12,
    )  # fmt: skip
    bundle = brentq(
        lambda a: mean(BUNDLE, a).mean() - ACCEPTANCE["bundle"], -12.0, 12.0, xtol=1e-12
    )
    discounted = mean(DISCOUNT, discount, discount_for_price)

    def gaps(unknown: np.ndarray) -> np.ndarray:
        upgraded = mean(UPGRADE, unknown[0], unknown[1])
        tailored = to_discount * discounted + (1 - to_discount) * upgraded
        return np.array(
            [
                upgraded.mean() - ACCEPTANCE["upgrade"],
                tailored.mean() - ACCEPTANCE["tailored"],
            ]
        )

    found = root(gaps, np.array([discount, -0.2]), tol=1e-12)
    if np.abs(gaps(found.x)).max() > 1e-6:
        raise ValueError(
            f"simulate: the published acceptances cannot be met by {len(customer)} customers; "
            "raise 'scale'"
        )
    upgrade, upgrade_for_price = found.x
    intercept = np.array([none, discount, upgrade, bundle])
    solved = Solved(
        intercept, discount_for_price, float(upgrade_for_price), np.ones(len(OFFERS)), threshold
    )
    full = World(**(vars(world) | {"effect_strength": 1.0}))
    probability = return_probability(history, lapse_days, solved, world=full)
    value, _ = value_of_return(history, people, customer, solved.price_level, world=full)
    mean_value = (probability * value).sum(axis=0) / probability.sum(axis=0)
    level = np.array([VALUE_OF_RETURN[offer] for offer in OFFERS]) / mean_value
    return Solved(intercept, discount_for_price, float(upgrade_for_price), level, threshold)


def _threshold(contacts: np.ndarray, world: World) -> float:
    """The number of messages that the wanted share of customers reached, as nearly as it goes."""
    if world.do_not_disturb == 0 or world.heterogeneity != "default":
        return np.inf
    counts = np.bincount(contacts)
    reached = counts[::-1].cumsum()[::-1] / len(contacts)
    return float(np.abs(reached - world.do_not_disturb).argmin())


def profit(probability: np.ndarray, value: np.ndarray, *, world: World) -> np.ndarray:
    """Expected profit per offer, (customers, offers): value less accepted cost, less contact."""
    cost = np.array([OFFER_COST[offer] for offer in OFFERS])
    contact = np.where(np.arange(len(OFFERS)) == NONE, 0.0, world.contact_cost)
    return probability * (value - cost) - contact
