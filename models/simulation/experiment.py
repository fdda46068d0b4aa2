"""The simulated experiment: whom the business asks and when, who is sent what, who comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .lives import CURED_SHARE
from .response import DISCOUNT, MATCHED, NONE, UPGRADE
from .tables import seconds, text
from .value import draw_delay
from .world import ARMS, BOTH, DAY, MOVED, NEED_GONE, OFFER_COST, OFFERS, REASONS, World

TAILORED_ARM = ARMS.index("tailored")
SOFT_EXCLUDED = 0.7
EARLIEST_DAYS = 15
MEAN_LAPSE_DAYS = 110.0  # beyond the earliest
NEVER = np.iinfo(np.int64).max
UNPROMISING, FUTILE_REASONS, TOO_LATE = 1, 2, 3


@dataclass(frozen=True)
class Trial:
    """The experiment, one element per customer in it.

    Attributes
    ----------
    customer
        Rows of `People`.
    offered_at
        Second of the offer.
    arm, offer, propensity
        The arm drawn, the offer sent, and its marginal probability given the stated reason.
    returned_at
        Second of a return within the return window, -1 for none.
    cured
        Whether a return within the window would cure the reason for leaving.
    """

    customer: np.ndarray
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


def draw_asking(departed_at: np.ndarray, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Second at which the business would ask each leaver of the window, NEVER for later ones."""
    n = len(departed_at)
    left = np.maximum((world.window_ends_at - departed_at) / DAY, 0.0)
    wanted = EARLIEST_DAYS + rng.exponential(MEAN_LAPSE_DAYS, n)
    lapse = np.minimum(wanted, left * (0.3 + 0.7 * rng.random(n)))
    moment = departed_at + np.floor(lapse * DAY).astype(np.int64)
    return np.where(departed_at < world.window_ends_at, moment, NEVER)


def promise(
    departed_at: np.ndarray, stated: np.ndarray, world: World, *, rng: np.random.Generator
) -> np.ndarray:
    """Order in which leavers are taken into the experiment, (customers,), all different.

    Its whole part is 0 for the promising, 1 for most of those who state that they moved or need
    it no more, 2 for those who state both price and service, 3 for who left too late.
    """
    n = len(stated)
    soft = np.isin(stated, (MOVED, NEED_GONE)) & (rng.random(n) < SOFT_EXCLUDED)
    rank = np.where(soft, UNPROMISING, 0)
    rank = np.where(stated == BOTH, FUTILE_REASONS, rank)
    late = (world.window_ends_at - departed_at) / DAY < EARLIEST_DAYS
    return np.where(late, TOO_LATE, rank) + rng.random(n)


def choose(rank: np.ndarray, lives: np.ndarray, world: World) -> np.ndarray:
    """Rows of the candidates who are in the experiment, ascending.

    Of those lost for the second time only the wanted share, the others after everybody else who
    did not leave too late.

    Parameters
    ----------
    rank
        (candidates,) from `promise`.
    lives
        (candidates,) lifetimes so far.

    Raises
    ------
    ValueError
        If fewer are left than the experiment needs.
    """
    if len(rank) < world.n_eligible:
        raise ValueError(
            f"simulate: the experiment needs {world.n_eligible} customers, found {len(rank)} still "
            "away when the business would ask them; lower 'organic_return' or 'eligible'"
        )
    twice = np.flatnonzero(lives >= 2)
    twice = twice[np.argsort(rank[twice])]
    order = rank.copy()
    order[twice[: world.n_lost_twice]] -= TOO_LATE + 1
    order[twice[world.n_lost_twice :]] += TOO_LATE
    return np.sort(np.argsort(order)[: world.n_eligible])


def randomize(
    customer: np.ndarray,
    offered_at: np.ndarray,
    unasked_at: np.ndarray,
    stated: np.ndarray,
    probability: np.ndarray,
    world: World,
    *,
    rng: np.random.Generator,
) -> Trial:
    """Arms, the offers really sent with their marginal propensities, and who returned when.

    Whoever is sent nothing is left to the law of returning unasked: he comes back at `unasked_at`
    (seconds, -1 for never), which counts within the return window.
    """
    n = len(customer)
    arm = rng.integers(0, len(ARMS), n)
    coin = np.where(rng.random(n) < 0.5, DISCOUNT, UPGRADE)
    matched = MATCHED[stated]
    offer = np.where(arm == TAILORED_ARM, np.where(matched < 0, coin, matched), arm)
    equal = 1 / len(ARMS)
    shared = np.where(matched < 0, 0.5, matched == offer)
    either = (offer == DISCOUNT) | (offer == UPGRADE)
    propensity = equal * (1 + np.where(either, shared, 0.0))
    accepts = rng.random(n) < probability[np.arange(n), offer]
    delay = (draw_delay(offer, world, rng=rng) * DAY).astype(np.int64)
    in_window = (unasked_at >= 0) & (unasked_at < offered_at + world.return_window_days * DAY)
    return Trial(
        customer=customer,
        offered_at=offered_at,
        arm=arm,
        offer=offer,
        propensity=propensity,
        returned_at=np.where(
            offer == NONE,
            np.where(in_window, unasked_at, -1),
            np.where(accepts, offered_at + delay, -1),
        ),
        cured=rng.random(n) < CURED_SHARE,
    )


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
