"""An experiment among the active customers of the simulated world, before they leave.

Everything in it is our choice. A rebate keeps those who would leave for price or for a competitor,
a call those who would leave for the service; customers who need it no more are most at risk, and no
offer keeps them. A quarter of the customers hardly use what they pay for: any offer reminds them of
that, and more of them leave ("Retention futility", Ascarza, Journal of Marketing Research 55(1),
2018). Offers act for as long as churn looks ahead.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .events import Wave
from .lives import ALIVE, Lives, churn_probability
from .people import People
from .tables import seconds, text
from .world import DAY, MONTH, RETENTION_COST, RETENTION_OFFERS, World


def asked(wave: Wave, world: World) -> np.ndarray:
    """Rows of the first lifetimes that go on when the experiment starts, (customers,)."""
    starts, ends = wave.lives.started_at, wave.lived.ended_at
    alive = (ends == ALIVE) | (ends >= world.retention_at)
    return np.flatnonzero((starts < world.retention_at) & alive)


def retention_offers(people: People, first: Wave, ids: np.ndarray, world: World) -> pd.DataFrame:
    """The experiment as rows of the contract's table `offers`.

    Parameters
    ----------
    people, first
        Traits, and the first lifetimes with their events.
    ids
        (customers,) customer_id of each row of `people`.
    world
        Gives the moment of the experiment.
    """
    rows = asked(first, world)
    customer, ended = first.lives.customer[rows], first.lived.ended_at[rows]
    offer = people.retention_offer[customer]
    until = world.retention_at + world.churn_horizon_days * DAY
    stayed = (ended == ALIVE) | (ended >= until)
    names = text(offer, RETENTION_OFFERS)
    frame = pd.DataFrame(
        {
            "customer_id": ids[customer],
            "offered_at": seconds(np.full(len(rows), world.retention_at)),
            "offer": names,
            "arm": names,
            "propensity": 1 / len(RETENTION_OFFERS),
            "campaign": "retention",
            "returned_at": seconds(np.full(len(rows), -1)),
            "offer_cost": np.where(stayed, np.array(RETENTION_COST)[offer], 0.0),
        }
    )
    return frame.sort_values("customer_id", ignore_index=True)


def truth_of_retention(people: People, first: Wave, ids: np.ndarray, world: World) -> pd.DataFrame:
    """True probabilities to stay of the customers of the experiment, at its moment.

    Returns
    -------
    pandas.DataFrame
        customer_id, as_of, stay_probability_<offer>, sorted by customer.
    """
    rows = asked(first, world)
    lives, lived = first.lives, first.lived
    age = (world.retention_at - lives.started_at) / MONTH
    month = np.ceil(age).astype(np.int64) - 1  # the last that has begun before
    now = np.flatnonzero(lived.month == month[lived.month_life])
    at = np.zeros(len(lives.customer), dtype=np.int64)
    at[lived.month_life[now]] = now
    going_on = Lives(**{name: values[rows] for name, values in vars(lives).items()})
    mood, contacted = lived.mood[at[rows]], lived.contacted[at[rows]]
    frame = pd.DataFrame(
        {
            "customer_id": ids[going_on.customer],
            "as_of": seconds(np.full(len(rows), world.retention_at)),
            **stay_probabilities(
                people, going_on, mood, contacted, world=world, at=world.retention_at
            ),
        }
    )
    return frame.sort_values("customer_id", ignore_index=True)


def stay_probabilities(
    people: People,
    lives: Lives,
    mood: np.ndarray,
    contacted: np.ndarray,
    *,
    world: World,
    at: int,
) -> dict[str, np.ndarray]:
    """True probability to stay for the churn horizon under each offer, by column name."""
    return {
        f"stay_probability_{name}": 1
        - churn_probability(people, lives, mood, contacted, world=world, at=at, offer=offer)
        for offer, name in enumerate(RETENTION_OFFERS)
    }
