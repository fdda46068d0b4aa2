"""The numbers of the simulated world that make the published means come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq, root

from .events import History
from .people import People
from .response import (
    BUNDLE,
    DISCOUNT,
    LOST_TWICE,
    MATCHED,
    NONE,
    UPGRADE,
    Solved,
    offered,
    return_probability,
    unasked,
)
from .value import UNASKED_PRICE, value_of_return
from .world import ACCEPTANCE, LOST_TWICE_SHARE, OFFERS, VALUE_OF_RETURN, World

DISCOUNT_FOR_PRICE = 0.20
STRONGEST_UNASKED = 0.75  # intercept beyond which hardly anybody is still away to be asked


def solve_unasked(
    history: History,
    lapse_days: np.ndarray,
    exponential: np.ndarray,
    rank: np.ndarray,
    *,
    world: World,
) -> float:
    """Intercept of the law of returning unasked, from the mean return without an offer.

    The customers of the experiment are those of the lowest rank who are still away when the
    business would ask them; who that is depends on the law itself. The intercept is the one at
    which their probability of returning unasked within the return window has the wanted mean,
    the customers who are lost for the second time being allowed for by their number.

    Parameters
    ----------
    history, lapse_days
        First-time leavers, and the days after leaving at which each would be asked.
    exponential
        (customers,) the draws that decide when they come back.
    rank
        (customers,) order in which they are taken into the experiment; all different.
    world
        Gives the wanted mean and the number of customers.

    Raises
    ------
    ValueError
        If no intercept leaves enough customers with the wanted mean.
    """
    wanted = world.organic_return / (1 - LOST_TWICE_SHARE * (1 - LOST_TWICE))
    size = world.n_eligible - world.n_lost_twice

    def gap(intercept: float) -> float:
        law = unasked(history, intercept)
        chance = law.probability(lapse_days, lapse_days + world.return_window_days)
        away = law.probability(np.zeros(len(rank)), lapse_days) < -np.expm1(-exponential)
        rows = np.flatnonzero(away)
        chosen = rows[np.argsort(rank[rows])][:size]
        return float(chance[chosen].mean()) - wanted

    if gap(STRONGEST_UNASKED) < 0:
        raise ValueError(
            f"simulate: too few leavers stay away until the business asks them when "
            f"{world.organic_return:g} of them return unasked within {world.return_window_days} "
            "days; lower 'organic_return' or raise 'return_window_days'"
        )
    return _root(gap, high=STRONGEST_UNASKED, xtol=1e-6)


def solve_offers(
    history: History,
    people: People,
    customer: np.ndarray,
    lapse_days: np.ndarray,
    stated: np.ndarray,
    intercept: float,
    *,
    world: World,
) -> Solved:
    """Intercepts, the interaction of offer and reason, and price levels from the published means.

    Mean acceptance of discount, upgrade and bundle over the experiment and of the tailored policy
    (upgrade to those who state service, discount to those who state price, either with one half
    to the others) are met exactly, and so is the mean value of a return per offer.

    Parameters
    ----------
    history, people, customer, lapse_days
        The customers of the experiment.
    stated
        (customers,) index of the stated reason, -1 where none is stated.
    intercept
        Of the law of returning unasked.
    world
        The scenario; `effect_strength` is left out of account, it scales what is solved here.

    Raises
    ------
    ValueError
        If the customers are too few, or state too little, to meet the published acceptances.
    """
    full = replace(world, effect_strength=1.0)
    solved = _solve_acceptance(history, lapse_days, stated, intercept, world=full)
    probability = return_probability(history, lapse_days, solved, world=full)
    value, _ = value_of_return(history, people, customer, solved.price_level, world=full)
    mean_value = (probability * value).sum(axis=0) / probability.sum(axis=0)
    wanted = np.array([VALUE_OF_RETURN.get(offer, np.nan) for offer in OFFERS])
    level = np.where(np.arange(len(OFFERS)) == NONE, UNASKED_PRICE, wanted / mean_value)
    return replace(solved, price_level=level)


def _solve_acceptance(
    history: History,
    lapse_days: np.ndarray,
    stated: np.ndarray,
    intercept: float,
    *,
    world: World,
) -> Solved:
    answers = offered(history, lapse_days, intercept, world=world)
    disturbed_from = _disturbed_from(history.contacts_year, world)

    def accepted(offer: int, level: float, for_price: float = 0.0) -> np.ndarray:
        return answers.probability(offer, level, for_price, disturbed_from)

    discount = _root(
        lambda level: accepted(DISCOUNT, level, DISCOUNT_FOR_PRICE).mean() - ACCEPTANCE["discount"]
    )
    bundle = _root(lambda level: accepted(BUNDLE, level).mean() - ACCEPTANCE["bundle"])
    discounted = accepted(DISCOUNT, discount, DISCOUNT_FOR_PRICE)
    matched = MATCHED[stated]
    to_discount = np.where(matched < 0, 0.5, matched == DISCOUNT)

    def gaps(unknown: np.ndarray) -> np.ndarray:
        upgraded = accepted(UPGRADE, unknown[0], unknown[1])
        tailored = to_discount * discounted + (1 - to_discount) * upgraded
        means = np.array([upgraded.mean(), tailored.mean()])
        return means - [ACCEPTANCE["upgrade"], ACCEPTANCE["tailored"]]

    solution = root(gaps, np.array([discount, -0.2]), tol=1e-12)
    if np.abs(gaps(solution.x)).max() > 1e-9:
        raise ValueError(
            f"simulate: no effects meet the published acceptances among the {len(stated)} "
            "customers of the experiment and the reasons that they state; raise 'scale' or "
            "'stated_reason_right'"
        )
    upgrade, upgrade_for_price = solution.x
    return Solved(
        intercept=np.array([intercept, discount, upgrade, bundle]),
        discount_for_price=DISCOUNT_FOR_PRICE,
        upgrade_for_price=float(upgrade_for_price),
        price_level=np.ones(len(OFFERS)),
        disturbed_from=disturbed_from,
    )


def _root(gap: Callable[[float], float], *, high: float = 12.0, xtol: float = 1e-12) -> float:
    return float(brentq(gap, -12.0, high, xtol=xtol))


def _disturbed_from(contacts: np.ndarray, world: World) -> float:
    """The number of messages that the wanted share of customers reached, as nearly as it goes."""
    if world.do_not_disturb == 0 or world.heterogeneity != "default":
        return np.inf
    counts = np.bincount(contacts)
    reached = counts[::-1].cumsum()[::-1] / len(contacts)
    return float(np.abs(reached - world.do_not_disturb).argmin())
