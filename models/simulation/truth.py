"""What no table of the simulated world shows: true probabilities, values and reasons.

No stage may read it; tests and benchmarks may.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .events import History, Wave
from .lives import ALIVE, Lives, churn_probability
from .people import People
from .response import Solved, return_probability
from .retention import stay_probabilities
from .tables import seconds, text
from .value import profit, value_of_return
from .world import DAY, OFFERS, REASONS, World


def truth_of_lost(
    people: People,
    history: History,
    customer: np.ndarray,
    as_of: np.ndarray,
    solved: Solved,
    world: World,
    *,
    population: str,
    cured: np.ndarray | None = None,
) -> pd.DataFrame:
    """What lost customers would do if each offer were sent to them at a moment.

    Parameters
    ----------
    people, customer
        Traits, and the rows of the customers.
    history
        Theirs (one row per customer), as they left.
    as_of
        (customers,) second of the offer.
    solved, world
        The law of returning.
    population
        What the customers are called: experiment, outside or lost.
    cured
        (customers,) whether a return would last, where it is known.

    Returns
    -------
    pandas.DataFrame
        The columns of `Simulation.truth`; `customer_id` holds the rows of `people`.
    """
    lapse_days = (as_of - history.departed_at) / DAY
    probability = return_probability(history, lapse_days, solved, world=world)
    value, months = value_of_return(history, people, customer, solved.price_level, world=world)
    earned = profit(probability, value, world=world)
    columns: dict[str, object] = {
        "customer_id": customer,
        "as_of": seconds(as_of),
        "population": text(np.zeros(len(customer), dtype=int), (population,)),
        "true_reason": text(history.reason, REASONS),
    }
    per_offer = {
        "return_probability": probability,
        "value": value,
        "months": months,
        "profit": earned,
    }
    for name, values in per_offer.items():
        columns |= {f"{name}_{offer}": values[:, i] for i, offer in enumerate(OFFERS)}
    columns |= {
        "dissatisfied": history.spells > 0,
        "do_not_disturb": history.contacts_year >= solved.disturbed_from,
        "complaints": history.complaints,
        "harm": history.harm,
        "cured": pd.array(np.full(len(customer), pd.NA) if cured is None else cured, "boolean"),
    }
    return pd.DataFrame(columns)


def truth_of_active(
    people: People, waves: Sequence[Wave], ids: np.ndarray, world: World
) -> pd.DataFrame:
    """Customer id, moment and true churn probability of whoever is active at the end of the data.

    Where there was an experiment among active customers, also the true probability to stay under
    each of its offers, stay_probability_<offer>.

    Parameters
    ----------
    people, waves
        Traits, and all lifetimes.
    ids
        (customers,) customer_id of each row of `people`.
    world
        Gives the end of the data and the churn horizon.
    """
    customers, chances, stays = [], [], []
    for wave in waves:
        lives, lived = wave.lives, wave.lived
        alive = np.flatnonzero(lived.ended_at == ALIVE)
        # Months stand in the order in which they were lived, so the last assignment remains.
        last = np.zeros(len(lives.customer), dtype=np.int64)
        last[lived.month_life] = np.arange(len(lived.month_life))
        now = last[alive]
        going_on = Lives(**{name: values[alive] for name, values in vars(lives).items()})
        chances.append(
            churn_probability(people, going_on, lived.mood[now], lived.contacted[now], world=world)
        )
        customers.append(ids[going_on.customer])
        if world.retention:
            mood, contacted = lived.mood[now], lived.contacted[now]
            offered = stay_probabilities(
                people, going_on, mood, contacted, world=world, at=world.as_of
            )
            stays.append(pd.DataFrame(offered))
    frame = pd.DataFrame(
        {
            "customer_id": np.concatenate(customers),
            "as_of": seconds(np.full(sum(map(len, customers)), world.as_of)),
            "churn_probability": np.concatenate(chances),
        }
    )
    if stays:
        frame = frame.join(pd.concat(stays, ignore_index=True))
    return frame.sort_values("customer_id", ignore_index=True)
