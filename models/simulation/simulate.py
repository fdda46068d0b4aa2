"""A business that loses customers, simulated: event tables in the contract's form, and the truth.

Customers sign up, live month by month, leave, and some come back unasked, all by one law. Of those
who left within the study window, the promising ones who are still away when the business would ask
them are randomized over five equal arms (none, discount, upgrade, bundle, and the tailored policy).
In the tail after the window life goes on: outcomes mature, customers leave and come back. Whoever
is away at its end is there to be won back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .business import Business
from .events import History, Wave, happen
from .experiment import (
    NEVER,
    Trial,
    choose,
    draw_asking,
    offers_table,
    promise,
    randomize,
)
from .lives import ALIVE, Lived, Lives, live
from .people import People, draw_people
from .response import NONE, return_probability
from .retention import retention_offers, truth_of_retention
from .solve import solve_offers, solve_unasked
from .tables import seconds, tables, text
from .truth import truth_of_active, truth_of_lost
from .world import DAY, REASONS, World

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
        What lost customers would do if each offer were sent to them at `as_of`. One row per
        customer away at the end of the data (`population` lost), per customer of the experiment
        at the moment of the offer (experiment), and per leaver of the window outside it, at the
        moment at which the business would have asked (outside): `customer_id`, `as_of`,
        `population`, and for every offer `return_probability_<offer>` (within the return window),
        `value_<offer>` and `months_<offer>` (expected margin and months, within the horizon, of
        the lifetime that a return begins), `profit_<offer>` (expected, net of accepted cost and
        contact cost); further `true_reason`, `dissatisfied` (was ever upset), `do_not_disturb`,
        `complaints`, `harm` and `cured` (a return would last; known in the experiment alone).
    active
        One row per customer active at the end of the data: `customer_id`, `as_of`,
        `churn_probability` (true, within the churn horizon).
    retention
        One row per customer of the experiment among active ones, at its moment: `customer_id`,
        `as_of`, `stay_probability_<offer>` (true, within the churn horizon); None without it.
    world
        The parameters.
    """

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    active: pd.DataFrame
    world: World
    retention: pd.DataFrame | None = None


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
        If the world is too small, or too few state their reason or stay away, to meet the
        published figures.
    """
    rng = np.random.default_rng(seed)
    people, first = _first_lives(world, rng=rng)
    ids = world.first_customer_id + rng.permutation(len(people.plan)).astype(np.int64)
    business = Business(people, world, rng)
    leavers = business.add(first)
    suppressed = _suppressions(business.history, world, rng=rng)
    intercept, rank = _until_asked(business, leavers, suppressed)

    candidates = np.flatnonzero((business.asked_at != NEVER) & (suppressed < 0))
    lives = business.history.lives[candidates]
    chosen = candidates[choose(rank[candidates], lives, world)]
    before, asked_at = business.history.take(chosen), business.asked_at[chosen]
    lapse_days = (asked_at - before.departed_at) / DAY
    stated = business.latest[chosen]
    solved = solve_offers(before, people, chosen, lapse_days, stated, intercept, world=world)
    probability = return_probability(before, lapse_days, solved, world=world)
    trial = randomize(
        chosen, asked_at, business.unasked_at[chosen], stated, probability, world, rng=rng
    )
    outside = np.setdiff1d(np.flatnonzero(business.asked_at != NEVER), chosen)
    truth = [
        truth_of_lost(
            people, before, chosen, asked_at, solved, world,
            population="experiment", cured=trial.cured,
        ),
        truth_of_lost(
            people, business.history.take(outside), outside, business.asked_at[outside],
            solved, world, population="outside",
        ),
    ]  # fmt: skip

    _after_asking(business, trial, solved.price_level, intercept)
    lost = np.flatnonzero(business.history.departed_at >= 0)
    moment = np.full(len(lost), world.as_of)
    history = business.history.take(lost)
    truth.append(truth_of_lost(people, history, lost, moment, solved, world, population="lost"))

    written = tables(people, business.waves, ids, world=world, rng=rng)
    written["departures"] = _departures(business.waves, business.stated, ids)
    written["offers"] = offers_table(trial, ids)
    retention = None
    if world.retention:
        kept = retention_offers(people, first, ids, world)
        written["offers"] = pd.concat([written["offers"], kept], ignore_index=True)
        retention = truth_of_retention(people, first, ids, world)
    written["suppressions"] = _suppression_table(suppressed, ids, rng=rng)
    truth_table = pd.concat(truth, ignore_index=True)
    truth_table["customer_id"] = ids[truth_table["customer_id"]]
    truth_table = truth_table.sort_values(["customer_id", "as_of"], ignore_index=True)
    active = truth_of_active(people, business.waves, ids, world)
    return Simulation(written, truth_table, active, world, retention)


def _until_asked(
    business: Business, leavers: np.ndarray, suppressed: np.ndarray
) -> tuple[float, np.ndarray]:
    """Everything up to the moment at which the business would ask whoever is still away.

    Returns
    -------
    float, np.ndarray
        Intercept of the law of returning unasked, and (customers,) the order in which leavers are
        taken into the experiment.
    """
    world, rng = business.world, business.rng
    rank = np.zeros(len(suppressed))
    intercept = np.nan
    while len(leavers):
        left = business.history.departed_at[leavers]
        business.asked_at[leavers] = draw_asking(left, world, rng=rng)
        rank[leavers] = promise(left, business.latest[leavers], world, rng=rng)
        exponential = rng.standard_exponential(len(leavers))
        if np.isnan(intercept):
            candidates = (business.asked_at[leavers] != NEVER) & (suppressed[leavers] < 0)
            rows = leavers[candidates]
            lapse_days = (business.asked_at[rows] - left[candidates]) / DAY
            intercept = solve_unasked(
                business.history.take(rows),
                lapse_days,
                exponential[candidates],
                rank[rows],
                world=world,
            )
        business.leave_alone(
            leavers, intercept, since_days=np.zeros(len(leavers)), exponential=exponential
        )
        back = business.unasked_at[leavers]
        early = leavers[(back >= 0) & (back < business.asked_at[leavers])]
        leavers = business.come_back(early) if len(early) else early
    return intercept, rank


def _after_asking(
    business: Business, trial: Trial, price_level: np.ndarray, intercept: float
) -> None:
    """Everything from the offers to the end of the data."""
    world, rng = business.world, business.rng
    silent = np.flatnonzero((trial.returned_at < 0) & (trial.offer != NONE))
    customer = trial.customer[silent]
    waited = trial.offered_at[silent] + world.return_window_days * DAY
    business.leave_alone(
        customer,
        intercept,
        since_days=(waited - business.history.departed_at[customer]) / DAY,
        exponential=rng.standard_exponential(len(customer)),
    )
    back = np.flatnonzero(trial.returned_at >= 0)
    business.unasked_at[trial.customer[back]] = -1
    unasked = np.flatnonzero(business.unasked_at >= 0)
    leavers = business.live_again(
        trial.customer[back],
        offer=trial.offer[back],
        started_at=trial.returned_at[back],
        cured=trial.cured[back],
        price_level=price_level,
    )
    while True:
        business.leave_alone(
            leavers,
            intercept,
            since_days=np.zeros(len(leavers)),
            exponential=rng.standard_exponential(len(leavers)),
        )
        unasked = np.concatenate([unasked, leavers[business.unasked_at[leavers] >= 0]])
        if not len(unasked):
            return
        leavers, unasked = business.come_back(unasked), unasked[:0]


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
    new_row = np.full(len(lives.customer), -1)
    new_row[rows] = np.arange(len(rows))
    months = np.flatnonzero(new_row[lived.month_life] >= 0)
    spells = np.flatnonzero(new_row[lived.upset_life] >= 0)
    kept = Lived(
        ended_at=lived.ended_at[rows],
        reason=lived.reason[rows],
        month_life=new_row[lived.month_life[months]],
        month=lived.month[months],
        mood=lived.mood[months],
        contacted=lived.contacted[months],
        upset_life=new_row[lived.upset_life[spells]],
        upset_month=lived.upset_month[spells],
        calm_month=lived.calm_month[spells],
    )
    columns = {name: values[rows] for name, values in vars(lives).items()}
    return people.take(rows), Lives(**(columns | {"customer": np.arange(len(rows))})), kept


def _suppressions(history: History, world: World, *, rng: np.random.Generator) -> np.ndarray:
    """Second from which each customer must not be contacted, -1 for never."""
    left = history.departed_at >= 0
    draw = rng.random(len(left))
    days = rng.random(len(left))
    chosen = draw < np.where(left, SUPPRESSED_LEAVERS, SUPPRESSED_ACTIVE)
    since = np.where(left, history.departed_at + days * 10 * DAY, world.as_of - days * 365 * DAY)
    return np.where(chosen, np.minimum(since, world.as_of - 1).astype(np.int64), -1)


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
