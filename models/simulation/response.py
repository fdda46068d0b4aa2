"""Whether and when a lost customer comes back: unasked, and under each offer.

One law holds for everybody whom nobody asks: leavers outside the experiment, its control arm, and
its customers once the answer to an offer is no longer awaited. It is a hazard by the days since
leaving. An offer replaces it for the length of the return window. What in it is published and what
is our choice stands in the data card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .events import History
from .world import BOTH, DAY, MOVED, NEED_GONE, OFFERS, PRICE, REASONS, SERVICE, World

NONE, DISCOUNT, UPGRADE, BUNDLE = range(len(OFFERS))
REASON_LOGIT = np.array([0.0, -0.38, -0.35, -0.25, 0.0, 0.0])
FUTILE = 0.24
GONE_FOR_GOOD = 0.015
LOST_TWICE = 0.4
BACKFIRE = 0.5
TASTE = 0.85

STEP_DAYS = 30  # the hazard of returning unasked is constant within so many days
HAZARD_DAYS = 90  # the law states a probability per so many days
SETTLED_STEPS = 1  # nobody returns unasked in the first step after leaving

# Offer that the tailored policy sends by stated reason (the last element: none stated), or -1.
MATCHED = np.full(len(REASONS) + 1, -1)
MATCHED[PRICE], MATCHED[SERVICE] = DISCOUNT, UPGRADE


@dataclass(frozen=True)
class Solved:
    """Numbers solved so that the means over the experiment are met.

    Attributes
    ----------
    intercept
        (offers,) of the logit; that of "none" belongs to the law of returning unasked.
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


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-values))


def inclination(history: History) -> np.ndarray:
    """Log odds of returning at the moment of leaving, up to a constant, (customers,).

    Referrals, a long and rich first relation raise it; complaints (less when mended) and reasons
    other than price lower it.
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
        + REASON_LOGIT[history.reason]
    )


def fading(lapse_days: np.ndarray) -> np.ndarray:
    """What the days since leaving add to the log odds of returning."""
    return -0.55 * np.log1p(lapse_days / 120.0)


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


def damping(history: History) -> np.ndarray:
    """What multiplies every probability of returning: both reasons at once, lost twice."""
    factor = np.where(history.reason == BOTH, FUTILE, 1.0)
    return factor * np.where(history.lives >= 2, LOST_TWICE, 1.0)


def gone(history: History) -> np.ndarray:
    """Who moved or has no need any more: no offer changes the chance of a return."""
    return np.isin(history.reason, (MOVED, NEED_GONE))


@dataclass(frozen=True)
class Unasked:
    """The law of returning when nobody asks, for some lost customers.

    Attributes
    ----------
    logit
        (customers,) log odds of returning within `HAZARD_DAYS`, before the days since leaving.
    factor
        (customers,) multiplies the probability.
    gone
        (customers,) whose probability is `GONE_FOR_GOOD`, whatever the days since leaving.
    """

    logit: np.ndarray
    factor: np.ndarray
    gone: np.ndarray

    def hazard(self, rows: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Hazard of returning per day of some customers, each in one step of `STEP_DAYS`."""
        logit = self.logit[rows] + fading((step + 0.5) * STEP_DAYS)
        chance = np.where(self.gone[rows], GONE_FOR_GOOD, self.factor[rows] * sigmoid(logit))
        return np.where(step < SETTLED_STEPS, 0.0, -np.log1p(-chance) / HAZARD_DAYS)

    def probability(self, since_days: np.ndarray, until_days: np.ndarray) -> np.ndarray:
        """Probability of returning between two numbers of days since leaving, if still away."""
        total = np.zeros(len(self.logit))
        rows, step = np.arange(len(total)), (since_days // STEP_DAYS).astype(np.int64)
        while len(rows := rows[step[rows] * STEP_DAYS < until_days[rows]]):
            begins = np.maximum(step[rows] * STEP_DAYS, since_days[rows])
            ends = np.minimum((step[rows] + 1) * STEP_DAYS, until_days[rows])
            total[rows] += self.hazard(rows, step[rows]) * (ends - begins)
            step[rows] += 1
        return -np.expm1(-total)

    def days_until_return(
        self, since_days: np.ndarray, until_days: np.ndarray, exponential: np.ndarray
    ) -> np.ndarray:
        """Days from leaving to the return, inf if it does not come before `until_days`.

        Parameters
        ----------
        since_days, until_days
            (customers,) away at the first; the last day of interest.
        exponential
            (customers,) standard exponential draws; equal draws give equal returns.
        """
        needed, result = exponential.copy(), np.full(len(exponential), np.inf)
        rows, step = np.arange(len(needed)), (since_days // STEP_DAYS).astype(np.int64)
        while len(rows := rows[step[rows] * STEP_DAYS < until_days[rows]]):
            begins = np.maximum(step[rows] * STEP_DAYS, since_days[rows])
            hazard = self.hazard(rows, step[rows])
            length = (step[rows] + 1) * STEP_DAYS - begins
            back = needed[rows] < hazard * length
            result[rows[back]] = begins[back] + needed[rows[back]] / hazard[back]
            needed[rows] -= hazard * length
            step[rows] += 1
            rows = rows[~back]
        return np.where(result < until_days, result, np.inf)


def unasked(history: History, intercept: float) -> Unasked:
    """The law of returning unasked for lost customers, given its intercept."""
    return Unasked(intercept + inclination(history), damping(history), gone(history))


@dataclass(frozen=True)
class Offered:
    """What decides on a return under offers, one row per customer.

    Attributes
    ----------
    logit
        (customers, offers) log odds, up to a constant per offer.
    factor, gone
        As in `Unasked`.
    for_price
        (customers,) left for the price.
    contacts
        (customers,) messages in the year before leaving.
    none
        (customers,) probability of returning unasked within the return window.
    """

    logit: np.ndarray
    factor: np.ndarray
    gone: np.ndarray
    for_price: np.ndarray
    contacts: np.ndarray
    none: np.ndarray

    def probability(
        self, offer: int, intercept: float, for_price: float, disturbed_from: float
    ) -> np.ndarray:
        """Probability under one offer; it backfires on those who had too many messages."""
        logit = intercept + self.logit[:, offer] + for_price * self.for_price
        touchy = self.contacts >= disturbed_from
        answer = np.where(touchy, BACKFIRE * self.none, self.factor * sigmoid(logit))
        return np.where(self.gone, self.none, answer)


def offered(history: History, lapse_days: np.ndarray, intercept: float, *, world: World) -> Offered:
    """What decides on a return under offers, so many days after leaving.

    Parameters
    ----------
    history, lapse_days
        The customers and the days since they left.
    intercept
        Of the law of returning unasked.
    world
        Gives the return window, and whether tastes matter.
    """
    personal = TASTE if world.heterogeneity == "default" else 0.0
    base = (inclination(history) + fading(lapse_days))[:, None]
    law = unasked(history, intercept)
    return Offered(
        logit=base + personal * taste(history, lapse_days),
        factor=law.factor,
        gone=law.gone,
        for_price=history.reason == PRICE,
        contacts=history.contacts_year,
        none=law.probability(lapse_days, lapse_days + world.return_window_days),
    )


def return_probability(
    history: History, lapse_days: np.ndarray, solved: Solved, *, world: World
) -> np.ndarray:
    """True probability of returning within the return window, (customers, offers as in OFFERS)."""
    answers = offered(history, lapse_days, float(solved.intercept[NONE]), world=world)
    for_price = (0.0, solved.discount_for_price, solved.upgrade_for_price, 0.0)
    columns = [answers.none]
    for offer in range(1, len(OFFERS)):
        full = answers.probability(
            offer, solved.intercept[offer], for_price[offer], solved.disturbed_from
        )
        columns.append(answers.none + world.effect_strength * (full - answers.none))
    return np.column_stack(columns)


def draw_unasked_return(
    history: History,
    since_days: np.ndarray,
    intercept: float,
    *,
    world: World,
    exponential: np.ndarray,
) -> np.ndarray:
    """Second at which lost customers come back unasked, -1 for not before the end of the data.

    Parameters
    ----------
    history
        Theirs; `departed_at` is the moment of leaving.
    since_days
        (customers,) days since leaving up to which they are known to be away.
    intercept
        Of the law of returning unasked.
    exponential
        (customers,) standard exponential draws.
    """
    until = (world.as_of - history.departed_at) / DAY
    days = unasked(history, intercept).days_until_return(since_days, until, exponential)
    back = np.isfinite(days)
    moment = history.departed_at + np.floor(np.where(back, days, 0.0) * DAY).astype(np.int64)
    return np.where(back & (moment < world.as_of), moment, -1)
