"""A business that loses customers, simulated: event tables in the contract's form, and the truth.

Customers sign up, live month by month, leave, sometimes come back on their own. Of those who left
within the study window and stayed away, the promising ones are randomized over five equal arms
(none, discount, upgrade, bundle, and the tailored policy). In the tail after the window life goes
on: outcomes mature, second lifetimes end, and those who leave then are the ones to win back now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .events import History, Wave, happen, no_history, remember
from .experiment import choose_eligible, lives_of_returns, offers_table, randomize, stated_reasons
from .lives import ALIVE, CURED_SHARE, Lived, Lives, live
from .people import People, draw_people
from .response import Solved, return_probability, self_return_probability
from .solve import solve
from .tables import seconds, tables, text
from .value import CARE, profit, second_lives, value_of_return
from .world import DAY, OFFERS, REASONS, World

SUPPRESSED_LEAVERS = 0.035
SUPPRESSED_ACTIVE = 0.004


@dataclass(frozen=True)
class Simulation:
    """A simulated business.

    Attributes
    ----------
    tables
        The tables of the data contract by name: customers, attributes, orders, activity,
        complaints, referrals, departures, contacts, offers, suppressions. Times are
        datetime64[us], money is float64 rounded to cents.
    truth
        One row per customer of the experiment (`as_of` is the moment of the offer) and per
        customer lost in the tail (`as_of` is the end of the data): `customer_id`, `as_of`,
        `population` (experiment, lost), and for every offer `return_probability_<offer>`,
        `value_<offer>` and `months_<offer>` (expected margin and months within the horizon, given
        a return), `profit_<offer>` (expected, net of accepted cost and contact cost); further
        `true_reason`, `dissatisfied` (was ever upset), `do_not_disturb`, `complaints`, `harm` and
        `cured` (a return would last; missing for the lost).
        No stage may read it.
    world
        The parameters.
    """

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    world: World


def simulate(world: World, *, seed: int) -> Simulation:
    """Simulate a world; the same world and seed give the same tables.

    Parameters
    ----------
    world
        Size, scenario and calibration.
    seed
        Of the one random generator behind all draws.

    Raises
    ------
    ValueError
        If the world is too small, or too few state their reason, to meet the published figures.
    """
    rng = np.random.default_rng(seed)
    people, first = _first_lives(world, rng=rng)
    ids = world.first_customer_id + rng.permutation(len(people.plan)).astype(np.int64)
    history = remember(no_history(len(ids)), people, first)
    stated = [stated_reasons(first.lived.reason, world, rng=rng)]
    suppressed = _suppressions(history, world, rng=rng)

    alone = _self_returns(history, people, world=world, rng=rng)
    history = remember(history, people, alone)
    stated.append(stated_reasons(alone.lived.reason, world, rng=rng))
    latest = stated[0].copy()
    latest[alone.lives.customer] = stated[1]

    chosen, lapse_days = choose_eligible(history, latest, suppressed, world, rng=rng)
    before = history.take(chosen)
    solved = solve(before, people, chosen, lapse_days, latest[chosen], world=world)
    probability = return_probability(before, lapse_days, solved, world=world)
    trial = randomize(chosen, lapse_days, before, latest[chosen], probability, world, rng=rng)
    truth = [
        _truth(people, before, chosen, trial.offered_at, solved, world, "experiment", trial.cured)
    ]

    back = lives_of_returns(before, people, trial, solved, world=world, rng=rng)
    history = remember(history, people, back)
    stated.append(stated_reasons(back.lived.reason, world, rng=rng))
    lost = np.flatnonzero(history.departed_at >= world.window_ends_at)
    moment = np.full(len(lost), world.as_of)
    truth.append(_truth(people, history.take(lost), lost, moment, solved, world, "lost", None))

    waves = [first, alone, back]
    written = tables(people, waves, ids, world=world, rng=rng)
    written["departures"] = _departures(waves, stated, ids)
    written["offers"] = offers_table(trial, ids)
    written["suppressions"] = _suppression_table(suppressed, ids, rng=rng)
    known = pd.concat(truth, ignore_index=True)
    known["customer_id"] = ids[known["customer_id"]]
    return Simulation(
        written, known.sort_values(["customer_id", "as_of"], ignore_index=True), world
    )


def simulate_shards(world: World, *, seed: int, shards: int) -> Iterator[Simulation]:
    """The same world in parts that are made one after the other, for sizes beyond memory.

    Each part is a business of `scale / shards` with customer, order and complaint ids of its own;
    the published means hold in each part, hence in their union. Write one before asking for the
    next.

    Raises
    ------
    ValueError
        If there is no part, or the parts are too small to simulate.
    """
    if shards < 1:
        raise ValueError(f"simulate: 'shards' must be at least 1, found {shards}")
    seeds = np.random.SeedSequence(seed).generate_state(shards)
    first = world.first_customer_id
    for part in range(shards):
        part_world = replace(world, scale=world.scale / shards, first_customer_id=first)
        simulation = simulate(part_world, seed=int(seeds[part]))
        yield simulation
        # Recommended people who never signed up have ids above the customers'.
        first += 4 * len(simulation.tables["customers"])


def _first_lives(world: World, *, rng: np.random.Generator) -> tuple[People, Wave]:
    """First lifetimes with exactly the wanted number of leavers within the window."""
    people = draw_people(world, rng=rng)
    n = len(people.plan)
    lives = Lives(
        customer=np.arange(n),
        number=np.ones(n, dtype=np.int64),
        started_at=people.signed_up_at,
        price=people.price,
        contact_chance=people.contact_chance,
        hazard_factor=np.ones(n),
        previous_reason=np.full(n, -1),
        cured=np.zeros(n, dtype=bool),
    )
    lived = live(people, lives, world=world, rng=rng)
    relevant = (lived.ended_at == ALIVE) | (lived.ended_at >= world.window_starts_at)
    leaver = relevant & (lived.ended_at != ALIVE) & (lived.ended_at < world.window_ends_at)
    order = rng.permutation(n)
    so_far = np.cumsum(leaver[order])
    taken = order[: np.searchsorted(so_far, world.n_leavers) + 1]
    keep = np.zeros(n, dtype=bool)
    keep[taken] = True
    rows = np.flatnonzero(keep & relevant)
    people, lives, lived = _keep(people, lives, lived, rows)
    return people, happen(people, lives, lived, world=world, rng=rng)


def _keep(
    people: People, lives: Lives, lived: Lived, rows: np.ndarray
) -> tuple[People, Lives, Lived]:
    """First lifetimes of some customers, renumbered."""
    place = np.full(len(lives.customer), -1)
    place[rows] = np.arange(len(rows))
    months = np.flatnonzero(place[lived.month_life] >= 0)
    spells = np.flatnonzero(place[lived.upset_life] >= 0)
    kept = Lived(
        ended_at=lived.ended_at[rows],
        reason=lived.reason[rows],
        month_life=place[lived.month_life[months]],
        month=lived.month[months],
        mood=lived.mood[months],
        contacted=lived.contacted[months],
        upset_life=place[lived.upset_life[spells]],
        upset_month=lived.upset_month[spells],
        calm_month=lived.calm_month[spells],
    )
    some = {name: values[rows] for name, values in vars(lives).items()}
    return people.take(rows), Lives(**(some | {"customer": np.arange(len(rows))})), kept


def _suppressions(history: History, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Second from which each customer must not be contacted, -1 for never."""
    left = history.departed_at >= 0
    draw = rng.random(len(left))
    days = rng.random(len(left))
    chosen = draw < np.where(left, SUPPRESSED_LEAVERS, SUPPRESSED_ACTIVE)
    since = np.where(left, history.departed_at + days * 10 * DAY, world.as_of - days * 365 * DAY)
    return np.where(chosen, np.minimum(since, world.as_of - 1).astype(np.int64), -1)


def _self_returns(
    history: History, people: People, *, world: World, rng: np.random.Generator
) -> Wave:
    """Second lifetimes of those who come back on their own within half a year."""
    n = len(history.lives)
    chance = self_return_probability(history)
    gap = (45 + 120 * rng.random(n)) * DAY
    started = history.departed_at + gap.astype(np.int64)
    returns = (history.departed_at >= 0) & (rng.random(n) < chance) & (started < world.as_of)
    customer = np.flatnonzero(returns)
    lives = second_lives(
        history.take(customer),
        people,
        customer,
        offer=np.zeros(len(customer), dtype=np.int64),
        started_at=started[customer],
        contact_chance=rng.choice(CARE, len(customer)),
        cured=rng.random(len(customer)) < CURED_SHARE,
        price_level=np.ones(len(OFFERS)),
        effect_strength=0.0,
    )
    return happen(people, lives, live(people, lives, world=world, rng=rng), world=world, rng=rng)


def _truth(
    people: People,
    history: History,
    customer: np.ndarray,
    as_of: np.ndarray,
    solved: Solved,
    world: World,
    population: str,
    cured: np.ndarray | None,
) -> pd.DataFrame:
    """What no table shows: probability, value and profit under every offer, true reasons."""
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


def _departures(waves: list[Wave], stated: list[np.ndarray], ids: np.ndarray) -> pd.DataFrame:
    customer, moment, reason = [], [], []
    for wave, said in zip(waves, stated, strict=True):
        left = wave.lived.ended_at >= 0
        customer.append(ids[wave.lives.customer[left]])
        moment.append(wave.lived.ended_at[left])
        reason.append(said[left])
    frame = pd.DataFrame(
        {
            "customer_id": np.concatenate(customer),
            "departed_at": seconds(np.concatenate(moment)),
            "reason": text(np.concatenate(reason), (*REASONS, None)),
        }
    )
    return frame.sort_values(["customer_id", "departed_at"], ignore_index=True)


def _suppression_table(
    suppressed: np.ndarray, ids: np.ndarray, *, rng: np.random.Generator
) -> pd.DataFrame:
    rows = np.flatnonzero(suppressed >= 0)
    why = rng.choice(3, len(rows), p=[0.85, 0.10, 0.05])
    frame = pd.DataFrame(
        {
            "customer_id": ids[rows],
            "since": seconds(suppressed[rows]),
            "why": text(why, ("objection", "blocked", "deceased")),
        }
    )
    return frame.sort_values("customer_id", ignore_index=True)
