"""Whether a lost customer of the simulated world comes back, under each offer.

The wish to return is a logit of what the events show; offers add to it by reason and by taste.
What is ours in it and what is published stands in the data card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .events import History
from .world import BOTH, MOVED, NEED_GONE, OFFERS, PRICE, REASONS, TAILORED, World

NONE, DISCOUNT, UPGRADE, BUNDLE = range(len(OFFERS))
REASON_LOGIT = np.array([0.0, -0.38, -0.35, -0.25, 0.0, 0.0])
FUTILE = 0.24
GONE_FOR_GOOD = 0.015
LOST_TWICE = 0.4
BACKFIRE = 0.5
TASTE = 0.85
SELF_RETURN = -2.2


# Offer that the tailored policy sends by stated reason (the last element: none stated), or -1.
MATCHED = np.full(len(REASONS) + 1, -1)
for _reason, _offer in TAILORED.items():
    MATCHED[REASONS.index(_reason)] = OFFERS.index(_offer)


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


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-values))


def self_return_probability(history: History) -> np.ndarray:
    """Chance that a customer comes back unasked soon after leaving for the first time."""
    wish = SELF_RETURN + inclination(history, np.full(len(history.bills), 60.0))
    gone = np.isin(history.reason, (MOVED, NEED_GONE))
    return np.where(gone, GONE_FOR_GOOD / 3, _damped(history) * sigmoid(wish))


@dataclass(frozen=True)
class Wish:
    """What decides on a return before any intercept, one row per customer.

    Attributes
    ----------
    logit
        (customers, offers) log odds, up to a constant per offer.
    factor
        (customers,) multiplies the probability: futile reasons, lost twice.
    gone
        (customers,) never comes back, whatever is offered.
    for_price
        (customers,) left for the price.
    contacts
        (customers,) messages in the year before leaving.
    """

    logit: np.ndarray
    factor: np.ndarray
    gone: np.ndarray
    for_price: np.ndarray
    contacts: np.ndarray

    def alone(self, offer: int, intercept: float, for_price: float = 0.0) -> np.ndarray:
        """Probability under one offer, as if nobody minded being contacted, (customers,)."""
        logit = intercept + self.logit[:, offer] + for_price * self.for_price
        return np.where(self.gone, GONE_FOR_GOOD, self.factor * sigmoid(logit))

    def contacted(self, alone: np.ndarray, none: np.ndarray, disturbed_from: float) -> np.ndarray:
        """The same, backfiring on those who are contacted too often already."""
        touchy = (self.contacts >= disturbed_from) & ~self.gone
        return np.where(touchy, BACKFIRE * none, alone)


def wish_of(history: History, lapse_days: np.ndarray, *, world: World) -> Wish:
    """The wish of customers to return, so many days after leaving."""
    personal = TASTE if world.heterogeneity == "default" else 0.0
    base = inclination(history, lapse_days)[:, None]
    return Wish(
        logit=base + personal * taste(history, lapse_days),
        factor=_damped(history),
        gone=np.isin(history.reason, (MOVED, NEED_GONE)),
        for_price=history.reason == PRICE,
        contacts=history.contacts_year,
    )


def return_probability(
    history: History, lapse_days: np.ndarray, solved: Solved, *, world: World
) -> np.ndarray:
    """True probability of returning under each offer, (customers, offers in order of OFFERS)."""
    wish = wish_of(history, lapse_days, world=world)
    for_price = (0.0, solved.discount_for_price, solved.upgrade_for_price, 0.0)
    none = wish.alone(NONE, solved.intercept[NONE])
    columns = [none]
    for offer in range(1, len(OFFERS)):
        alone = wish.alone(offer, solved.intercept[offer], for_price[offer])
        full = wish.contacted(alone, none, solved.disturbed_from)
        columns.append(none + world.effect_strength * (full - none))
    return np.column_stack(columns)
