"""Answers of lost customers to the offers sent to them, drawn from the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .value import draw_delay
from .world import DAY, MONTH, OFFER_COST, OFFERS, World


def draw_responses(
    truth: pd.DataFrame, sent_offer: Sequence[str], *, world: World, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the answers of lost customers to the offers sent to them.

    In expectation they are those of the truth: `return_probability_<offer>`, and, given a return,
    `value_<offer>` and the cost of the offer. The number of bills is drawn from a geometric
    distribution that ends with the horizon.

    Parameters
    ----------
    truth
        (n, ...) rows of `Simulation.truth`.
    sent_offer
        (n,) the offer sent to each, "none" for nothing.
    world
        The world that the truth was simulated with.
    rng
        Random draws; equal generators give equal answers.

    Returns
    -------
    pandas.DataFrame
        (n, 4), indexed like `truth`: `returned` (bool), `value` (margin within the value horizon,
        before the cost of the offer; 0 without a return), `offer_cost` (0 without a return),
        `days_to_return` (missing without a return).

    Raises
    ------
    ValueError
        If the offers are not as many as the customers, or one is unknown.
    """
    sent = np.asarray(sent_offer, dtype=object)
    if len(sent) != len(truth):
        raise ValueError(
            f"draw_responses: an offer for each of {len(truth)} customers is needed, found "
            f"{len(sent)}"
        )
    unknown = sorted({str(offer) for offer in sent} - set(OFFERS))
    if unknown:
        raise ValueError(
            f"draw_responses: offers must be among {', '.join(OFFERS)}, found {', '.join(unknown)}"
        )
    offer = np.array([OFFERS.index(name) for name in sent], dtype=np.int64)

    def of_sent(what: str) -> np.ndarray:
        table = truth[[f"{what}_{name}" for name in OFFERS]].to_numpy(dtype=float)
        return table[np.arange(len(offer)), offer]

    returned = rng.random(len(offer)) < of_sent("return_probability")
    months = of_sent("months")
    bills = _draw_bills(months, world, rng=rng)
    days = draw_delay(offer, world, rng=rng)
    cost = np.array([OFFER_COST[name] for name in OFFERS])[offer]
    return pd.DataFrame(
        {
            "returned": returned,
            "value": np.where(returned, bills * of_sent("value") / months, 0.0),
            "offer_cost": np.where(returned, cost, 0.0),
            "days_to_return": np.where(returned, days, np.nan),
        },
        index=truth.index,
    )


def _draw_bills(mean: np.ndarray, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Numbers of bills, (n,), geometric up to the horizon, of the given means."""
    most = int(np.ceil(world.value_horizon_days * DAY / MONTH))
    powers = np.arange(most)
    low, high = np.zeros(len(mean)), np.ones(len(mean))
    for _ in range(40):
        stays = (low + high) / 2
        short = (stays[:, None] ** powers).sum(axis=1) < mean
        low, high = np.where(short, stays, low), np.where(short, high, stays)
    longest = np.log(1 - rng.random(len(mean))) / np.log(np.clip(high, 1e-12, 1 - 1e-12))
    return np.minimum(1 + np.floor(longest), most)
