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
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import lightgbm as lgb
import numpy as np
import pandas as pd
from results import show
from scipy import stats
from uplift_curve import uplift_curve
from uplift_tables import CONTROL, Table, draw

from winback.models.uplift.learners import LEARNERS
from winback.models.uplift.uplift import OfferUplift

KEPT = Path("build/peers")
UNTOLD = "winback, doses not told"
WORLDS = ("plain", "kumar", "hillstrom-visit", "hillstrom-spend")
PEERS = (
    "causalml S",
    "causalml T",
    "causalml X",
    "causalml DR",
    "econml LinearDRLearner",
    "econml DRLearner",
    "econml CausalForestDML",
    "perpetual uplift",
)
SLOW = PEERS[-2:]


def ours(
    table: Table, *, each: bool
) -> tuple[dict[str, pd.DataFrame], dict[str, list[float]], dict[str, np.ndarray]]:
    """Effects of our ensemble (and of each learner alone) on the rows to score, CPU seconds.

    And what is recommended: the greatest effect, or one offer for all. With costs, which the
    estimator does not know, it is left to `judge`. Where offers are doses of one thing, the
    ensemble is told so, and once more it is not.
    """
    runs: dict[str, tuple[str, ...] | None] = {"winback": None}
    if table.doses:
        runs[UNTOLD] = None
    if each:
        amounts = len(np.unique(table.outcome)) > 2
        runs |= {f"winback {name}": (name,) for name in LEARNERS if name != "two_part" or amounts}
    effects, seconds, recommended = {}, {}, {}
    for name, learners in runs.items():
        started = time.process_time()
        doses = None if name == UNTOLD else table.doses
        model = OfferUplift(control=CONTROL, learners=learners, doses=doses)
        model.fit(table.train, table.outcome, offer=table.offer, propensity=table.propensity)
        fitted = time.process_time()
        effects[name] = model.predict(table.score)
        seconds[name] = [fitted - started, time.process_time() - fitted]
        if not table.costs:
            recommended[name] = model.recommend(table.score)
    return effects, seconds, recommended


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


def judge(
    table: Table, effects: pd.DataFrame, recommended: np.ndarray | None = None
) -> dict[str, float]:
    """Accuracy where the truth is known, and the value of what is recommended.

    By default that is the offer of the greatest effect after its cost.

    `gain over none` and `gain over single` are that value less the one of sending nothing, and of
    the offer that truly is best for all, as shares of what the best possible choice gains.
    """
    offers = list(effects.columns)
    values = effects.to_numpy()
    costs = np.array([(table.costs or {}).get(name, 0.0) for name in (CONTROL, *offers)])
    chosen = (np.column_stack([np.zeros(len(values)), values]) - costs).argmax(axis=1)
    if recommended is not None:
        chosen = pd.Index([CONTROL, *offers]).get_indexer(pd.Index(recommended))
    rows = np.arange(len(values))
    if table.truth is None:
        scores = _scores(table, [CONTROL, *offers])
        found = {"value": float(scores[rows, chosen].mean())}
        return found | {f"qini {name}": _qini(table, effects, name) for name in offers}
    chances = table.truth[[CONTROL, *offers]].to_numpy()
    true = chances[:, 1:] - chances[:, :1]
    worth = chances - costs
    value, oracle = float(worth[rows, chosen].mean()), float(worth.max(axis=1).mean())
    found = {"rmse": float(np.sqrt(np.mean((values - true) ** 2))), "value": value}
    for over, least in (
        ("none", float(worth[:, 0].mean())),
        ("single", float(worth.mean(axis=0).max())),
    ):
        room = oracle - least
        found[f"gain over {over}"] = (value - least) / room if room > 1e-3 * abs(least) else np.nan
    spread = [
        place
        for place in range(len(offers))
        if min(values[:, place].std(), true[:, place].std()) > 1e-9
    ]
    if spread:
        pairs = [(values[:, place], true[:, place]) for place in spread]
        found["correlation"] = float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
    found |= calibration(values, true)
    areas = [_true_qini(values[:, place], true[:, place]) for place in range(len(offers))]
    return found | {f"qini {name}": area for name, area in zip(offers, areas, strict=True)}


def calibration(effects: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Slope of the truth on effects (rows, offers) around their averages; 1 is right.

    Also how far the truth of the lowest and of the highest fifth lies from the average, as a share
    of what was said, and the spread (variance) by which slopes of several tables are averaged.
    Shares are averaged over the offers by what was said of each.
    """
    said, is_so = effects - effects.mean(axis=0), true - true.mean(axis=0)
    spread = float((said**2).mean())
    if spread < 1e-12 * max(1.0, float((effects**2).mean())):
        return {"slope": np.nan, "low fifth": np.nan, "high fifth": np.nan, "spread": 0.0}
    fifth = len(said) // 5
    order = np.argsort(said, axis=0, kind="stable")
    found = {"slope": float((said * is_so).mean()) / spread, "spread": spread}
    for name, rows in (("low fifth", order[:fifth]), ("high fifth", order[-fifth:])):
        lies, told = (np.take_along_axis(one, rows, axis=0).mean(axis=0) for one in (is_so, said))
        found[name] = float((lies * np.sign(told)).sum() / np.abs(told).sum())
    return found


def _qini(table: Table, effects: pd.DataFrame, offer: str) -> float:
    """Qini per customer of the ranking for one offer, on rows that nobody learned from."""
    if table.score_offer is None or table.score_outcome is None or table.score_propensity is None:
        raise ValueError("table: rows to judge on need offer, outcome and propensity")
    rows = np.isin(table.score_offer, [CONTROL, offer])
    curve = uplift_curve(
        effects[offer].to_numpy()[rows],
        table.score_offer[rows] == offer,
        table.score_outcome[rows],
        weights=1.0 / table.score_propensity[rows],
    )
    return curve.qini_score / int(rows.sum())


def _true_qini(effect: np.ndarray, true: np.ndarray) -> float:
    """The same where the truth is known: mean effect gained over offering at random."""
    if np.ptp(effect) < 1e-12:
        return 0.0
    gained = true[np.argsort(-effect, kind="stable")] - true.mean()
    return float(gained.cumsum().mean() / len(gained))


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
    wide = numbers(pd.concat([table.train, table.score], ignore_index=True)).copy()
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
    world: str,
    tables: Callable[[int], Table],
    *,
    seeds: int,
    peers: Sequence[str],
    each: bool,
    kept: Path,
) -> pd.DataFrame:
    """Print means over the seeds, and what is compared with ours with a paired interval.

    `tables` draws the table of a seed. The result has one row per seed and method.
    """
    records = []
    for seed in range(seeds):
        table = tables(seed)
        effects, seconds, recommended = ours(table, each=each)
        others, other_seconds = run_peers(table, peers, kept)
        for name, found in {**effects, **others, **rules(table)}.items():
            fit, predict = (seconds | other_seconds).get(name, [np.nan, np.nan])
            record = {"method": name, "seed": seed, **judge(table, found, recommended.get(name))}
            records.append(record | {"fit s": fit, "score s": predict})
        frame = pd.DataFrame(records)
    qinis = [column for column in frame if column.startswith("qini ")]
    told = frame.drop(columns=["seed", "spread", *qinis], errors="ignore")
    summary = told.groupby("method", sort=False).mean()
    summary["value - ours"], summary["+-"] = gap_to_ours(frame, "value")
    if "rmse" in frame:
        wide = frame.pivot(index="seed", columns="method", values="rmse")
        summary["rmse / ours"] = wide.div(wide["winback"], axis=0).mean()
    show(f"{world}: {seeds} seeds, {len(table.train):,} rows to learn from", summary)
    areas = pd.DataFrame(index=summary.index)
    for column in qinis:
        thousand = frame.assign(**{column: 1000 * frame[column]})
        areas[column] = thousand.groupby("method", sort=False)[column].mean()
        areas[f"{column} - ours"], areas[f"+- {column}"] = gap_to_ours(thousand, column)
    named = areas.rename(columns=lambda name: name.replace(" qini", ""))
    show(f"{world}: Qini per offer and 1,000 customers, over the seeds", named)
    return frame


def gap_to_ours(frame: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """Mean over the seeds of what each method has more than ours, and half its 95% interval."""
    wide = frame.pivot(index="seed", columns="method", values=column)
    return mean_and_reach(wide.sub(wide["winback"], axis=0))


def mean_and_reach(found: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean of each column and half its 95% interval (Student's t)."""
    count = found.count()
    return found.mean(), stats.t.ppf(0.975, (count - 1).clip(lower=1)) * found.sem()


def main() -> None:
    """Parse the arguments and print a table per world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rows and seeds, no slow peers")
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
        rows = asked.rows or (5_000 if asked.quick else 50_000)
        peers = [peer for peer in asked.peers if not (asked.quick and peer in SLOW)]
        compare(
            world,
            partial(draw, world, rows=rows),
            seeds=asked.seeds or (2 if asked.quick else 20 if halves else 10),
            peers=peers,
            each=not asked.quick if asked.each is None else asked.each,
            kept=asked.kept,
        )


if __name__ == "__main__":
    main()
