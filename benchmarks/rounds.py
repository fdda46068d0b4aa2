"""What a programme learns: three campaigns, each decided on by what the earlier ones taught.

    python benchmarks/rounds.py [--seeds 10] [--scale 1.0]

A simulated world (sources/kumar.yaml) is asked in three rounds. Models learn from its experiment;
a campaign goes to a third of today's lost customers; their answers are drawn from the simulator's
truth and read back through the log of the campaign, which is dated back so that its return window
is over; the models learn from experiment and log, and the next third is asked. Two tables, over
independent worlds:

profit
    What the policy of each round would earn, in the truth, on all lost customers of today over
    sending nothing. Differences to the first round are paired by world; 95% t-intervals.
effects
    How often the 95% interval of `winback readout` for the chosen offers against those held out
    holds the true mean effect on the customers chosen, by round.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show
from scipy.stats import t as student

from winback.models.experiment.campaign import ALL, campaign_readout
from winback.models.offers import of_own_offer
from winback.models.simulation.campaign import draw_responses
from winback.models.simulation.world import World
from winback.pipelines.campaign import ListInputs, campaign
from winback.pipelines.featurize import featurize
from winback.pipelines.ingest import ingest
from winback.pipelines.recommend import recommend
from winback.pipelines.settings.params import Params, read_params
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import Campaigns, Source, TableQuery
from winback.pipelines.train_churn import train_churn
from winback.pipelines.train_winback import train_winback

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
HOLDOUT = 0.2  # so that effects of each offer can be read in every round


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    worlds = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            worlds.append(programme(given.scale, seed, Path(folder)).assign(world=seed))
        print(f"world {seed}: {worlds[-1]['profit'].dropna().round(2).tolist()}", flush=True)
    rows = pd.concat(worlds, ignore_index=True)
    show("true profit per lost customer, by round", profits(rows), decimals=2)
    show("intervals that hold the true effect, by round", coverage(rows), decimals=3)


def programme(scale: float, seed: int, folder: Path) -> pd.DataFrame:
    """Profit of each round's policy, and each effect read with its truth, of one world."""
    params = read_params(ROOT / "params.yaml")
    params = replace(
        params,
        machine=replace(params.machine, threads=1),
        recommend=replace(params.recommend, holdout_share=HOLDOUT, explained=0),
    )
    simulated = load_source(ROOT / "sources/kumar.yaml", overrides={"scale": scale})
    ingest(simulated, folder / "world", truth=folder / "truth", threads=1, seed=seed)
    truth = pd.read_parquet(folder / "truth/customers.parquet")
    truth = truth[truth["population"] == "lost"].set_index("customer_id").sort_index()
    rng = np.random.default_rng(seed)
    window = pd.Timedelta(days=simulated.experiment.return_window_days + 1)
    left = pd.read_parquet(folder / "world/departures.parquet").groupby("customer_id").max()
    left = left["departed_at"].reindex(truth.index)
    asked = truth.index[left < pd.Timestamp(simulated.as_of) - window]
    third = pd.Series(rng.permutation(len(asked)) % ROUNDS, index=asked).reindex(truth.index)
    rows, answers = [], []
    for number in range(ROUNDS):
        source = asking(simulated, folder)
        run = decide(source, params, folder)
        chosen = pd.read_parquet(run.recommendations).set_index("customer_id")["recommended_offer"]
        profit = of_own_offer(truth, chosen.reindex(truth.index).fillna("none"), "profit_")
        rows.append({"round": number + 1, "profit": (profit - truth["profit_none"]).mean()})
        others = third.index[third != number].to_frame(index=False)
        others.to_parquet(folder / "others.parquet", index=False)
        name = f"round-{number + 1}"
        campaign(
            source,
            params.recommend,
            params.machine,
            run,
            campaigns=folder / "campaigns",
            name=name,
            population="lost",
            suppressions=folder / "others.parquet",
            max_age_days=1e6,
        )
        file = folder / "campaigns" / name / "log.parquet"
        log = pd.read_parquet(file)
        log.assign(offered_at=log["offered_at"] - window).to_parquet(file, index=False)
        world = World(scale=scale)
        drawn = draw_responses(truth.loc[log["customer_id"]], log["offer"], world=world, rng=rng)
        answers.append(
            drawn.reset_index().assign(campaign=name)[
                ["customer_id", "campaign", "returned", "value", "offer_cost"]
            ]
        )
        pd.concat(answers).to_parquet(folder / "answers.parquet", index=False)
        rows += [{"round": number + 1} | effect for effect in effects(log, drawn, truth)]
    return pd.DataFrame(rows)


def asking(simulated: Source, folder: Path) -> Source:
    """The tables of the world as they stand, and the campaigns until now with their answers."""
    tables = {
        file.stem: TableQuery(f"select * from read_parquet('{file}')")
        for file in sorted((folder / "world").glob("*.parquet"))
    }
    answers = folder / "answers.parquet"
    responses = TableQuery(f"select * from read_parquet('{answers}')")
    return replace(
        simulated,
        simulate=None,
        tables=tables,
        campaigns=Campaigns(folder / "campaigns", responses if answers.exists() else None),
    )


def decide(source: Source, params: Params, folder: Path) -> ListInputs:
    """The pipeline up to the list."""
    tables, features = folder / "tables", folder / "features"
    churn, winback = folder / "churn", folder / "winback"
    decision, listed = folder / "decision", folder / "recommendations.parquet"
    ingest(source, tables, truth=folder / "none", threads=1)
    settings = replace(params.featurize, snapshots=1)
    featurize(source, settings, params.machine, tables=tables, out=features)
    for train, own, out in (
        (train_churn, params.train_churn, churn),
        (train_winback, params.train_winback, winback),
    ):
        apart = params.promote.kept_apart
        train(source, own, params.machine, apart_share=apart, features=features, out=out)
    recommend(
        source,
        params.recommend,
        params.machine,
        features=features,
        tables=tables,
        churn=churn,
        winback=winback,
        decision=decision,
        out=listed,
    )
    return ListInputs(features, tables, decision, listed)


def effects(log: pd.DataFrame, drawn: pd.DataFrame, truth: pd.DataFrame) -> list[dict[str, object]]:
    """Effects on the return, as the readout of the campaign tells them and as they are."""
    sent = log.assign(returned=drawn["returned"].to_numpy(float))
    read = campaign_readout(sent, control="none").effects
    read = read[read["outcome"] == "returned"]
    known = truth.loc[log["customer_id"]].set_index(log.index)
    offered = of_own_offer(known, log["chosen"], "return_probability_")
    lift = offered - known["return_probability_none"]
    means = lift.groupby(log["chosen"]).mean()
    means[ALL] = lift.mean()
    return [
        {
            "chosen": row.chosen,
            "estimate": row.estimate,
            "truth": means[row.chosen],
            "covered": float(row.lo <= means[row.chosen] <= row.hi),
        }
        for row in read.itertuples()
    ]


def profits(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean true profit per lost customer by round, and the difference to the first."""
    wide = rows.dropna(subset=["profit"]).pivot(index="world", columns="round", values="profit")
    table = []
    for number in wide.columns:
        over = wide[number] - wide[1]
        half = student.ppf(0.975, len(over) - 1) * over.std() / np.sqrt(len(over))
        table.append(
            {
                "round": number,
                "profit": wide[number].mean(),
                "over_round_1": over.mean(),
                "lo": over.mean() - half,
                "hi": over.mean() + half,
                "better_in": f"{(over > 0).sum()} of {len(over)}",
            }
        )
    return pd.DataFrame(table)


def coverage(rows: pd.DataFrame) -> pd.DataFrame:
    """Share of the intervals that hold the truth, by round."""
    read = rows.dropna(subset=["covered"])
    grouped = read.groupby("round")["covered"].agg(intervals="size", coverage="mean").reset_index()
    error = np.sqrt(grouped["coverage"] * (1 - grouped["coverage"]) / grouped["intervals"])
    return grouped.assign(se=error)


if __name__ == "__main__":
    main()
