"""The numbers of the simulated world that make the published means come out exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq, root

from .events import History
from .people import People
from .response import BUNDLE, DISCOUNT, MATCHED, NONE, UPGRADE, Solved, return_probability, wish_of
from .value import value_of_return
from .world import ACCEPTANCE, OFFERS, VALUE_OF_RETURN, World

DISCOUNT_FOR_PRICE = 0.20


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
    world
        The scenario; `effect_strength` is left out of account, it scales what is solved here.

    Raises
    ------
    ValueError
        If the customers are too few, or state too little, to meet the published acceptances.
    """
    full = replace(world, effect_strength=1.0)
    solved = _solve_acceptance(history, lapse_days, stated, world=full)
    probability = return_probability(history, lapse_days, solved, world=full)
    value, _ = value_of_return(history, people, customer, solved.price_level, world=full)
    mean_value = (probability * value).sum(axis=0) / probability.sum(axis=0)
    wanted = np.array([VALUE_OF_RETURN[offer] for offer in OFFERS])
    return replace(solved, price_level=wanted / mean_value)


def _solve_acceptance(
    history: History, lapse_days: np.ndarray, stated: np.ndarray, *, world: World
) -> Solved:
    wish = wish_of(history, lapse_days, world=world)
    disturbed_from = _disturbed_from(history.contacts_year, world)
    base = _root(lambda a: wish.alone(NONE, a).mean() - world.organic_return)
    none = wish.alone(NONE, base)

    def accepted(offer: int, intercept: float, for_price: float = 0.0) -> np.ndarray:
        return wish.contacted(wish.alone(offer, intercept, for_price), none, disturbed_from)

    discount = _root(
        lambda a: accepted(DISCOUNT, a, DISCOUNT_FOR_PRICE).mean() - ACCEPTANCE["discount"]
    )
    bundle = _root(lambda a: accepted(BUNDLE, a).mean() - ACCEPTANCE["bundle"])
    discounted = accepted(DISCOUNT, discount, DISCOUNT_FOR_PRICE)
    matched = MATCHED[stated]
    to_discount = np.where(matched < 0, 0.5, matched == DISCOUNT)

    def gaps(unknown: np.ndarray) -> np.ndarray:
        upgraded = accepted(UPGRADE, unknown[0], unknown[1])
        tailored = to_discount * discounted + (1 - to_discount) * upgraded
        found = np.array([upgraded.mean(), tailored.mean()])
        return found - [ACCEPTANCE["upgrade"], ACCEPTANCE["tailored"]]

    found = root(gaps, np.array([discount, -0.2]), tol=1e-12)
    if np.abs(gaps(found.x)).max() > 1e-9:
        raise ValueError(
            f"simulate: no effects meet the published acceptances among the {len(stated)} "
            "customers of the experiment and the reasons that they state; raise 'scale' or "
            "'stated_reason_right'"
        )
    upgrade, upgrade_for_price = found.x
    return Solved(
        intercept=np.array([base, discount, upgrade, bundle]),
        discount_for_price=DISCOUNT_FOR_PRICE,
        upgrade_for_price=float(upgrade_for_price),
        price_level=np.ones(len(OFFERS)),
        disturbed_from=disturbed_from,
    )


def _root(gap: Callable[[float], float]) -> float:
    return float(brentq(gap, -12.0, 12.0, xtol=1e-12))


def _disturbed_from(contacts: np.ndarray, world: World) -> float:
    """The number of messages that the wanted share of customers reached, as nearly as it goes."""
    if world.do_not_disturb == 0 or world.heterogeneity != "default":
        return np.inf
    counts = np.bincount(contacts)
    reached = counts[::-1].cumsum()[::-1] / len(contacts)
    return float(np.abs(reached - world.do_not_disturb).argmin())
