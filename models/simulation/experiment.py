"""The simulated experiment: who is in it, which arm each draws, who comes back and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .events import History, Wave, happen
from .horizon import draw_delay
from .lives import CURED_SHARE, live
from .people import People
from .response import DISCOUNT, MATCHED, UPGRADE, Solved
from .tables import seconds, text
from .value import CARE, second_lives
from .world import ARMS, BOTH, DAY, MOVED, NEED_GONE, OFFER_COST, OFFERS, REASONS, World

TAILORED_ARM = ARMS.index("tailored")
SOFT_EXCLUDED = 0.7


@dataclass(frozen=True)
class Trial:
    """The experiment: one element per customer in it; `customer` are rows of `People`."""

    customer: np.ndarray
    lapse_days: np.ndarray
    offered_at: np.ndarray
    arm: np.ndarray
    offer: np.ndarray
    propensity: np.ndarray
    returned_at: np.ndarray
    cured: np.ndarray


def stated_reasons(reason: np.ndarray, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Stated reasons, -1 where none is stated: mostly the true one, sometimes another."""
    draw = rng.random(len(reason))
    other = (reason + rng.integers(1, len(REASONS), len(reason))) % len(REASONS)
    right, missing = world.stated_reason_right, world.stated_reason_missing
    stated = np.where(draw < right, reason, np.where(draw < right + missing, -1, other))
    return np.where(reason < 0, -1, stated)


def choose_eligible(
    history: History,
    stated: np.ndarray,
    suppressed: np.ndarray,
    world: World,
    *,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the customers in the experiment, and the days since they left when it meets them.

    Left out first: the suppressed (always), those who state both price and service, and most of
    those who state that they moved or need it no more.
    """
    n = len(stated)
    until = (world.window_ends_at - history.departed_at) / DAY
    wanted = 15 + rng.exponential(170.0, n)
    lapse = np.minimum(wanted, np.maximum(until, 0) * (0.3 + 0.7 * rng.random(n)))
    lapse = np.floor(lapse * DAY) / DAY
    rank = np.where(np.isin(stated, (MOVED, NEED_GONE)) & (rng.random(n) < SOFT_EXCLUDED), 1, 0)
    rank = np.where(stated == BOTH, 2, rank)
    rank = np.where(until < 15, 3, rank)
    away = (history.departed_at >= 0) & (until > 0) & (suppressed < 0)
    rows = np.flatnonzero(away)
    order = np.lexsort((rng.random(len(rows)), rank[rows]))
    chosen = np.sort(rows[order[: world.n_eligible]])
    return chosen, lapse[chosen]


def randomize(
    customer: np.ndarray,
    lapse_days: np.ndarray,
    history: History,
    stated: np.ndarray,
    probability: np.ndarray,
    world: World,
    *,
    rng: np.random.Generator,
) -> Trial:
    """Arms, the offers really sent with their marginal propensities, and who returned when."""
    n = len(customer)
    arm = rng.integers(0, len(ARMS), n)
    coin = np.where(rng.random(n) < 0.5, DISCOUNT, UPGRADE)
    matched = MATCHED[stated]
    offer = np.where(arm == TAILORED_ARM, np.where(matched < 0, coin, matched), arm)
    equal = 1 / len(ARMS)
    shared = np.where(matched < 0, 0.5, matched == offer)
    either = (offer == DISCOUNT) | (offer == UPGRADE)
    propensity = equal * (1 + np.where(either, shared, 0.0))
    offered_at = history.departed_at + np.rint(lapse_days * DAY).astype(np.int64)
    returned = rng.random(n) < probability[np.arange(n), offer]
    delay = (draw_delay(n, world, rng=rng) * DAY).astype(np.int64)
    return Trial(
        customer=customer,
        lapse_days=lapse_days,
        offered_at=offered_at,
        arm=arm,
        offer=offer,
        propensity=propensity,
        returned_at=np.where(returned, offered_at + delay, -1),
        cured=rng.random(n) < CURED_SHARE,
    )


def lives_of_returns(
    history: History,
    people: People,
    trial: Trial,
    solved: Solved,
    *,
    world: World,
    rng: np.random.Generator,
) -> Wave:
    """Lifetimes begun by the returns of the experiment, with all that happens in them."""
    back = np.flatnonzero(trial.returned_at >= 0)
    lives = second_lives(
        history.take(back),
        people,
        trial.customer[back],
        offer=trial.offer[back],
        started_at=trial.returned_at[back],
        contact_chance=rng.choice(CARE, len(back)),
        cured=trial.cured[back],
        price_level=solved.price_level,
        effect_strength=world.effect_strength,
    )
    return happen(people, lives, live(people, lives, world=world, rng=rng), world=world, rng=rng)


def offers_table(trial: Trial, ids: np.ndarray) -> pd.DataFrame:
    """The experiment as the contract's table `offers`."""
    cost = np.array([OFFER_COST[offer] for offer in OFFERS])[trial.offer]
    offered_at = seconds(trial.offered_at)
    years = offered_at.astype("datetime64[Y]").astype(np.int64) + 1970
    frame = pd.DataFrame(
        {
            "customer_id": ids[trial.customer],
            "offered_at": offered_at,
            "offer": text(trial.offer, OFFERS),
            "arm": text(trial.arm, ARMS),
            "propensity": trial.propensity,
            "campaign": ("winback_" + pd.Series(years).astype("str")),
            "returned_at": seconds(trial.returned_at),
            "offer_cost": np.where(trial.returned_at >= 0, cost, 0.0),
        }
    )
    return frame.sort_values("customer_id", ignore_index=True)
