"""Tables that `uplift.py` and `zoo.py` compare methods on: two simulated worlds and an experiment.

Truth is known on the simulated ones. Not a benchmark by itself.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from winback.features.churn_definition import ChurnDefinition
from winback.features.families.assemble import features, with_features
from winback.features.offer_snapshots import offer_snapshots
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import World
from winback.pipelines.tables.frames import last_event, open_tables, write

CONTROL = "none"


@dataclass(frozen=True)
class Table:
    """One experiment: rows to learn from, rows to score and, where known, the truth of these.

    `costs` says what sending each offer costs, in the unit of the outcome, and `doses` which offers
    are doses of one thing.
    """

    train: pd.DataFrame
    offer: np.ndarray
    outcome: np.ndarray
    propensity: np.ndarray
    score: pd.DataFrame
    truth: pd.DataFrame | None = None
    score_offer: np.ndarray | None = None
    score_outcome: np.ndarray | None = None
    score_propensity: np.ndarray | None = None
    reason: np.ndarray | None = None
    costs: dict[str, float] | None = None
    doses: dict[str, dict[str, float]] | None = None


def plain_world(seed: int, rows: int) -> Table:
    """Twelve normal covariates, sparse effects on the log odds, five equal arms."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(2 * rows, 12))).add_prefix("x")
    odds = -1.0 + 0.5 * X["x0"] - 0.4 * X["x1"] + 0.3 * X["x2"]
    added = {
        "none": 0.0,
        "a": 0.4 + 0.4 * X["x3"],
        "b": 0.3 - 0.4 * X["x4"],
        "c": 0.2 + 0.3 * X["x5"] + 0.3 * X["x0"],
        "d": 0.5,
    }
    truth = pd.DataFrame({name: 1 / (1 + np.exp(-(odds + one))) for name, one in added.items()})
    code = rng.integers(0, 5, 2 * rows)
    happened = rng.random(2 * rows) < truth.to_numpy()[np.arange(2 * rows), code]
    return Table(
        train=X[:rows],
        offer=truth.columns.to_numpy(dtype=object)[code[:rows]],
        outcome=happened[:rows].astype(float),
        propensity=np.full(rows, 0.2),
        score=X[rows:].reset_index(drop=True),
        truth=truth[rows:].reset_index(drop=True),
    )


def kumar_world(seed: int, rows: int) -> Table:
    """The simulated telecom: effects on return from the features that its events give."""
    sim = simulate(World(scale=2 * rows / 40_000), seed=seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table, frame in sim.tables.items():
            frame.to_parquet(folder / f"{table}.parquet")
        tables = open_tables(folder, threads=1)
        definition = ChurnDefinition()
        snapshots = offer_snapshots(
            tables,
            now=last_event(tables),
            definition=definition,
            return_window_days=90,
            value_horizon_days=730,
        )
        found = features(tables, snapshots, windows_days=[30, 90, 365], definition=definition)
        write(with_features(snapshots, found), folder / "rows.parquet")
        rows_found = pd.read_parquet(folder / "rows.parquet")
    truth = sim.truth[sim.truth["population"] == "experiment"]
    truth = truth.set_index("customer_id").loc[rows_found["customer_id"]].reset_index()
    columns = list(rows_found.columns)
    X = rows_found[columns[columns.index("second_ended") + 1 :]]
    half = np.random.default_rng(seed).permutation(len(X)) < len(X) // 2
    offers = ["none", "bundle", "discount", "upgrade"]
    chances = truth[[f"return_probability_{offer}" for offer in offers]].set_axis(offers, axis=1)
    reason = X["departure_reason"].astype(object).where(X["departure_reason"].notna(), "")
    return Table(
        train=X[half].reset_index(drop=True),
        offer=rows_found["offer"].to_numpy(dtype=object)[half],
        outcome=rows_found["returned"].to_numpy(dtype=float)[half],
        propensity=rows_found["propensity"].to_numpy()[half],
        score=X[~half].reset_index(drop=True),
        truth=chances[~half].reset_index(drop=True),
        reason=reason[~half].to_numpy(),
    )


def hillstrom(outcome: str, seed: int) -> Table:
    """A random half of the e-mail experiment to learn from, the other half to judge on."""
    path = os.environ.get("HILLSTROM", "../shared/data/hillstrom.parquet")
    frame = pd.read_parquet(path)
    names = {"No E-Mail": "none", "Mens E-Mail": "mens", "Womens E-Mail": "womens"}
    offer = frame["segment"].map(names).to_numpy(dtype=object)
    X = frame.drop(columns=["segment", "visit", "conversion", "spend"])
    happened = frame[outcome].to_numpy(dtype=float)
    half = np.random.default_rng(seed).random(len(X)) < 0.5
    return Table(
        train=X[half].reset_index(drop=True),
        offer=offer[half],
        outcome=happened[half],
        propensity=np.full(int(half.sum()), 1 / 3),
        score=X[~half].reset_index(drop=True),
        score_offer=offer[~half],
        score_outcome=happened[~half],
        score_propensity=np.full(int((~half).sum()), 1 / 3),
    )


def draw(world: str, seed: int, rows: int) -> Table:
    """A table of one of the worlds."""
    if world.startswith("hillstrom"):
        return hillstrom(world.removeprefix("hillstrom-"), seed)
    return {"plain": plain_world, "kumar": kumar_world}[world](seed, rows)
