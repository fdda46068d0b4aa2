"""Simulated customers: their traits, which no table shows, and when they sign up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .world import MONTH, MONTHLY_GROWTH, RETENTION_OFFERS, WINDOW_MONTHS, World

PLANS = ("basic", "plus", "premium")
PLAN_PRICE = np.array([66.0, 84.0, 108.0])
MONTHLY_CHURN = 0.030
PAST_MONTHS = 120.0


@dataclass(frozen=True)
class People:
    """Traits of customers, one array element per customer.

    `upset_chance` and `recovery_chance` are monthly; `contact_chance` is the monthly probability
    of a message in the first lifetime; `vocal` customers complain when upset, others never do;
    `retention_offer` is what is drawn for whoever is in the experiment among active customers.
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
    retention_offer: np.ndarray

    def take(self, rows: np.ndarray) -> People:
        """The same traits for a selection of customers."""
        return People(**{name: values[rows] for name, values in vars(self).items()})


def draw_people(world: World, *, rng: np.random.Generator) -> People:
    """Customers who sign up from ten years before the window to the end of the tail.

    A few percent more than needed: `simulate` drops the surplus at random so that the number of
    leavers is exact.
    """
    months = _sign_up_months(world, rng=rng)
    n = len(months)
    sensitivity, appetite, usage = rng.standard_normal((3, n))
    advocacy = rng.gamma(0.7, 0.030, n)
    upset = np.minimum(0.036 * np.exp(0.6 * rng.standard_normal(n)), 0.4)
    contact = np.minimum(0.059 * np.exp(0.85 * rng.standard_normal(n)), 0.6)
    vocal = rng.random(n) < 0.088
    welcome = rng.random(n) < 0.5
    plan = np.digitize(appetite + rng.standard_normal(n), [0.1, 1.3])
    price = PLAN_PRICE[plan] * np.exp(0.12 * rng.standard_normal(n) - 0.0072)
    offers = np.zeros(n, dtype=np.int8)
    if world.retention:  # from a generator of its own: a world without it is drawn as ever
        offers = rng.spawn(1)[0].integers(0, len(RETENTION_OFFERS), n).astype(np.int8)
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
        retention_offer=offers,
    )


def _sign_up_months(world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Months from the start of the window to each sign-up, their density growing steadily.

    Their number is such that the wanted leavers, and a few more, leave within the window.
    """
    growth, window = MONTHLY_GROWTH, WINDOW_MONTHS
    last = (world.as_of - world.window_starts_at) / MONTH
    low, high = np.exp(-growth * PAST_MONTHS), np.exp(growth * last)
    active_at_start = world.n_leavers * growth / (MONTHLY_CHURN * (np.exp(growth * window) - 1))
    count = active_at_start * (MONTHLY_CHURN + growth) * (high - low) / growth
    surplus = 1.06 + 6 / np.sqrt(world.n_leavers)
    draw = rng.random(int(np.ceil(count * surplus)))
    return np.log(low + draw * (high - low)) / growth
