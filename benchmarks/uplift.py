"""Effects and policies of ours beside causalml, EconML and simple rules, in one run.

    python benchmarks/uplift.py [--quick] [--seeds N] [--rows N] [--world NAME] [--peers ...]

Peers run in the interpreter named by BENCH_PYTHON (`make bench` sets it), on the same tables,
one thread each; without it only ours and the simple rules are shown. Truth is known on the
simulated worlds; on Hillstrom a policy is valued by AIPW on the half that nobody learned from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy import stats

from winback.features.assemble import features, with_features
from winback.features.definition import ChurnDefinition
from winback.features.snapshots import offer_snapshots
from winback.models.learners import EFFECT_LEARNERS, OUTCOME_LEARNERS
from winback.models.simulate import simulate
from winback.models.uplift import OfferUplift
from winback.models.world import World
from winback.pipelines.frames import collect, last_event, open_tables, persist

CONTROL = "none"
KEPT = Path("build/peers")
WORLDS = ("plain", "kumar", "hillstrom-visit", "hillstrom-spend")
PEERS = (
    "causalml S",
    "causalml T",
    "causalml X",
    "causalml DR",
    "econml LinearDRLearner",
    "econml DRLearner",
    "econml CausalForestDML",
)


@dataclass(frozen=True)
class Table:
    """One experiment: rows to learn from, rows to score and, where known, the truth of these."""

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
        tables = open_tables(folder, engine="duckdb", threads=1)
        definition = ChurnDefinition()
        snapshots = persist(
            offer_snapshots(
                tables,
                now=last_event(tables),
                definition=definition,
                return_window_days=90,
                value_horizon_days=730,
            )
        )
        found = features(tables, snapshots, windows_days=[30, 90, 365], definition=definition)
        rows_found = collect(with_features(snapshots, found))
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


def ours(table: Table, *, each: bool) -> tuple[dict[str, pd.DataFrame], dict[str, list[float]]]:
    """Effects of our ensemble (and of each learner alone) on the rows to score, CPU seconds."""
    runs: dict[str, tuple[str, ...] | None] = {"winback": None}
    if each:
        amounts = len(np.unique(table.outcome)) > 2
        known = (*OUTCOME_LEARNERS, *EFFECT_LEARNERS)
        runs |= {f"winback {name}": (name,) for name in known if name != "two_part" or amounts}
    effects, seconds = {}, {}
    for name, learners in runs.items():
        started = time.process_time()
        model = OfferUplift(control=CONTROL, learners=learners)
        model.fit(table.train, table.outcome, offer=table.offer, propensity=table.propensity)
        fitted = time.process_time()
        effects[name] = model.predict(table.score)
        seconds[name] = [fitted - started, time.process_time() - fitted]
        if learners is None and not model.personalizes_:
            effects["winback recommend"] = single_effects(effects[name], model.best_single_)
        elif learners is None:
            effects["winback recommend"] = effects[name]
    return effects, seconds


def single_effects(effects: pd.DataFrame, offer: str) -> pd.DataFrame:
    """Effects whose greatest is one offer (or the control) for all."""
    fixed = pd.DataFrame(-1.0, index=effects.index, columns=effects.columns)
    if offer in fixed:
        fixed[offer] = 1.0
    return fixed


def rules(table: Table) -> dict[str, pd.DataFrame]:
    """Simple rules as effects: the best offer for all, response, tailored, random."""
    means = pd.Series(table.outcome).groupby(table.offer).mean()
    average = means.drop(CONTROL) - means[CONTROL]
    best = average.idxmax() if average.max() > 0 else CONTROL
    flat = pd.DataFrame(
        np.tile(average, (len(table.score), 1)), table.score.index, list(average.index)
    )
    # The response model: whoever responds more is thought to be moved more, by any offer.
    wide = numbers(pd.concat([table.train, table.score], ignore_index=True))
    model = lgb.LGBMRegressor(num_leaves=15, learning_rate=0.05, n_jobs=1, verbosity=-1)
    offered = table.offer == best
    size = len(table.train)
    response = model.fit(wide[:size][offered], table.outcome[offered]).predict(wide[size:])
    found = {
        "best single offer": flat,
        "response model": flat.mul(response / response.mean(), axis=0),
        "random": pd.DataFrame(
            np.random.default_rng(0).normal(size=flat.shape), flat.index, flat.columns
        ),
    }
    if table.reason is not None:
        rng = np.random.default_rng(1)
        coin = np.where(rng.random(len(flat)) < 0.5, "discount", "upgrade")
        known = pd.Series(table.reason).map({"price": "discount", "service": "upgrade"})
        chosen = known.fillna(pd.Series(coin)).to_numpy()
        found["tailored rule"] = pd.DataFrame(
            {name: (chosen == name).astype(float) for name in flat.columns}
        )
    return found


def judge(table: Table, effects: pd.DataFrame) -> dict[str, float]:
    """Accuracy where the truth is known, and the value of choosing the greatest effect."""
    offers = list(effects.columns)
    values = effects.to_numpy()
    chosen = np.column_stack([np.zeros(len(values)), values]).argmax(axis=1)
    rows = np.arange(len(values))
    if table.truth is None:
        scores = _scores(table, [CONTROL, *offers])
        return {"value": float(scores[rows, chosen].mean())}
    chances = table.truth[[CONTROL, *offers]].to_numpy()
    true = chances[:, 1:] - chances[:, :1]
    value, oracle = float(chances[rows, chosen].mean()), float(chances.max(axis=1).mean())
    single = float(chances.mean(axis=0).max())
    found = {
        "rmse": float(np.sqrt(np.mean((values - true) ** 2))),
        "value": value,
        "of oracle": value / oracle,
        "of its gain": (value - single) / (oracle - single),
    }
    spread = [place for place in range(len(offers)) if values[:, place].std() > 1e-9]
    if spread:
        pairs = [(values[:, place], true[:, place]) for place in spread]
        found["correlation"] = float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
        found["slope"] = float(np.mean([np.polyfit(*pair, 1)[0] for pair in pairs]))
    return found


def _scores(table: Table, offers: list[str]) -> np.ndarray:
    """AIPW scores on the rows nobody learned from, with the means of the training half."""
    if table.score_outcome is None or table.score_propensity is None:
        raise ValueError("table: rows to judge on need offer, outcome and propensity")
    means = pd.Series(table.outcome).groupby(table.offer).mean()[offers].to_numpy()
    arm = pd.Index(offers).get_indexer(pd.Index(table.score_offer))
    scores = np.tile(means, (len(arm), 1))
    residual = (table.score_outcome - means[arm]) / table.score_propensity
    scores[np.arange(len(arm)), arm] += residual
    return scores


def run_peers(
    table: Table, peers: Sequence[str], kept: Path
) -> tuple[dict[str, pd.DataFrame], dict[str, list[float]]]:
    """Effects of the peers on the rows to score, and their CPU seconds.

    They take hours, so what each said of a table is kept under a hash of that table.
    """
    python = os.environ.get("BENCH_PYTHON")
    if not python or not peers:
        return {}, {}
    wide = numbers(pd.concat([table.train, table.score], ignore_index=True))
    size = len(table.train)
    train = wide[:size].assign(
        offer=table.offer, outcome=table.outcome, propensity=table.propensity
    )
    digest = hashlib.sha256()
    for frame in (train, wide[size:]):
        digest.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    script = Path(__file__).with_name("uplift_peers.py")
    digest.update(script.read_bytes())
    folder = kept / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    missing = [peer for peer in peers if not (folder / f"{peer}.json").exists()]
    if missing:
        train.to_parquet(folder / "train.parquet")
        wide[size:].to_parquet(folder / "score.parquet")
        subprocess.run([python, str(script), str(folder), *missing], check=True)
        (folder / "train.parquet").unlink()
        (folder / "score.parquet").unlink()
    found = {peer: pd.read_parquet(folder / f"{peer}.parquet") for peer in peers}
    return found, {peer: json.loads((folder / f"{peer}.json").read_text()) for peer in peers}


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories one-hot and missing values filled, as the peers need them."""
    wide = pd.get_dummies(frame, dtype=float).astype(float)
    names = [f"c{place}" for place in range(wide.shape[1])]  # the peers refuse signs in names
    return wide.fillna(wide.median()).fillna(0.0).set_axis(names, axis=1)


def compare(
    world: str, *, seeds: int, rows: int, peers: Sequence[str], each: bool, kept: Path
) -> None:
    """Print means over the seeds, and the value against ours with a paired interval."""
    records = []
    for seed in range(seeds):
        table = draw(world, seed, rows)
        effects, seconds = ours(table, each=each)
        others, other_seconds = run_peers(table, peers, kept)
        for name, found in {**effects, **others, **rules(table)}.items():
            fit, predict = (seconds | other_seconds).get(name, [np.nan, np.nan])
            record = {"method": name, "seed": seed, **judge(table, found)}
            records.append(record | {"fit s": fit, "score s": predict})
        frame = pd.DataFrame(records)
    print(f"\n{world}: {seeds} seeds, {len(table.train):,} rows to learn from\n")
    summary = frame.drop(columns="seed").groupby("method", sort=False).mean()
    wide = frame.pivot(index="seed", columns="method", values="value")
    gap = wide.sub(wide["winback"], axis=0)
    summary["value - ours"] = gap.mean()
    summary["+-"] = stats.t.ppf(0.975, max(seeds - 1, 1)) * gap.std() / np.sqrt(seeds)
    if "rmse" in frame:
        wide = frame.pivot(index="seed", columns="method", values="rmse")
        ratio = wide.div(wide["winback"], axis=0)
        summary["rmse / ours"] = ratio.mean()
    print(summary.to_string(float_format=lambda number: f"{number:.4f}", na_rep=""), flush=True)


def main() -> None:
    """Parse the arguments and print a table per world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows and seeds, no forest")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--world", choices=WORLDS, action="append")
    parser.add_argument(
        "--each", action=argparse.BooleanOptionalAction, help="also each of our learners alone"
    )
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--kept", type=Path, default=KEPT, help="where the peers' answers are kept")
    asked = parser.parse_args()
    for world in asked.world or WORLDS:
        halves = world.startswith("hillstrom")
        forest_free = [peer for peer in asked.peers if not (asked.quick and "Forest" in peer)]
        compare(
            world,
            seeds=asked.seeds or (2 if asked.quick else 20 if halves else 10),
            rows=asked.rows or (5_000 if asked.quick else 50_000),
            peers=forest_free,
            each=not asked.quick if asked.each is None else asked.each,
            kept=asked.kept,
        )


if __name__ == "__main__":
    main()
