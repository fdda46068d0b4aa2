"""What each family of features is worth: every model fitted again without it.

    python benchmarks/families.py [--quick]

On the simulated telecom of sources/kumar.yaml. Churn: log loss and AUC on the latest as-of dates.
Return and uplift: on customers held out by a random half, the log loss of the return probability
under the offer that was sent, the squared distance of the effects to the doubly robust scores, and
the profit of each customer's most profitable offer (doubly robust). A gain is what the model with
all families is better by than the one without that family, on the same rows, customer by customer;
positive means that the family helps. Repeats draw other halves (churn: other customers) of one
world, so they do not shrink its noise: intervals are 95% ones of a single repeat, around the mean
of the repeats. One thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show

from winback.models.churn.churn import OUTPUT, fit_churn
from winback.models.evaluation.held_out import held_out
from winback.models.evaluation.probability import bootstrap_grades
from winback.models.formula.formula import evaluate
from winback.models.regression.blend import PLAIN
from winback.models.returns.returns import fit_winback
from winback.pipelines.featurize import featurize
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.experiments import Experiment
from winback.pipelines.settings.objectives import graded
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import Source
from winback.pipelines.storage.stage_outputs import read_dictionary
from winback.pipelines.tables.training_rows import training_rows

ROOT = Path(__file__).resolve().parent.parent
NORMAL_95 = 1.959963984540054
EVERYTHING = "all"


def features_of(scale: float, snapshots: int, folder: Path) -> tuple[Source, Path]:
    """The features of one simulated telecom, built by the stages."""
    source = load_source(ROOT / "sources" / "kumar.yaml", overrides={"scale": scale})
    params = read_params(ROOT / "params.yaml")
    ingest(source, folder / "tables", truth=folder / "truth", threads=1)
    settings = replace(params.featurize, snapshots=snapshots)
    featurize(source, settings, params.machine, tables=folder / "tables", out=folder / "features")
    return source, folder / "features"


def without(names: list[str], families: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """All features, then all but each family."""
    yield EVERYTHING, names
    for family in dict.fromkeys(families[name] for name in names):
        yield family, [name for name in names if families[name] != family]


def churn_gains(source: Source, folder: Path, share: float, seed: int) -> pd.DataFrame:
    """Gains in log loss and AUC on a share of the customers, with intervals."""
    rows, names = training_rows(folder, "churn")
    rows = rows[held_out(rows["customer_id"], share=share, seed=seed)].reset_index(drop=True)
    families = {entry["name"]: entry["family"] for entry in read_dictionary(folder)}
    assert source.churn is not None
    found: dict[str, np.ndarray] = {}
    for left_out, kept in without(names, families):
        model = fit_churn(
            rows,
            features=kept,
            gap_days=source.churn.maturity_days,
            boosting=PLAIN,
            slices=(),
            repeats=1,
            seed=seed,
        )
        first = model.parts.set_index("part").loc["test", "first"]
        test = rows[rows["as_of"] >= first]
        found[left_out] = evaluate(model.formula, test)[OUTPUT].to_numpy()
    grades = bootstrap_grades(
        test["churned"],
        found,
        cluster=test["customer_id"],
        repeats=200,
        seed=seed,
        metrics=("log_loss", "auc"),
    )
    sign = grades["metric"].map({"log_loss": 1.0, "auc": -1.0})
    half = (grades["gain_hi"] - grades["gain_lo"]) / 2
    table = grades[["model", "metric"]].assign(gain=sign * grades["gain"], half=half)
    return table[table["model"] != EVERYTHING].rename(columns={"model": "family"})


def return_gains(source: Source, folder: Path, seed: int) -> pd.DataFrame:
    """Gains of each family on the half of the experiment that was held out."""
    experiment = source.experiment
    assert experiment is not None
    rows, names = training_rows(folder, "winback")
    families = {entry["name"]: entry["family"] for entry in read_dictionary(folder)}
    apart = held_out(rows["customer_id"], share=0.5, seed=seed)
    train, test = rows[~apart], rows[apart].reset_index(drop=True)
    outputs = {
        left_out: outputs_of(train, test, kept, experiment)
        for left_out, kept in without(names, families)
    }
    whole = outputs.pop(EVERYTHING)
    scores = {  # of the model with all families, the same for every other
        objective: graded(test, whole, experiment, objective).scores
        for objective in ("returns", "profit")
    }
    best = goodness(test, whole, scores, experiment)
    records = []
    for family, found in outputs.items():
        for metric, good in goodness(test, found, scores, experiment).items():
            gain = best[metric] - good
            records.append(
                (family, metric, gain.mean(), NORMAL_95 * gain.std() / np.sqrt(len(gain)))
            )
    return pd.DataFrame(records, columns=["family", "metric", "gain", "half"])


def outputs_of(
    train: pd.DataFrame, test: pd.DataFrame, kept: list[str], experiment: Experiment
) -> pd.DataFrame:
    """What the win-back models, fitted on some features, say of the held-out customers."""
    columns: dict[str, Any] = {
        name: train[name].to_numpy()
        for name in ("offer", "propensity", "returned", "value", "second_days", "second_ended")
    }
    model = fit_winback(
        train[kept],
        **columns,
        offers=experiment.offers,
        control=experiment.control,
        horizon_days=experiment.value_horizon_days,
    )
    return evaluate(model.formula, test)


def goodness(
    test: pd.DataFrame,
    outputs: pd.DataFrame,
    scores: dict[str, np.ndarray],
    experiment: Experiment,
) -> dict[str, np.ndarray]:
    """How good the answers are for each held-out customer; more is better."""
    names = experiment.offer_names
    place = np.arange(len(test))
    chance = outputs[[f"return_probability_{name}" for name in names]].to_numpy()
    sent = pd.Index(names).get_indexer(pd.Index(test["offer"]))
    likely = np.clip(chance[place, sent], 1e-6, 1 - 1e-6)
    happened = test["returned"].to_numpy(float)
    effects, score = chance - chance[:, :1], scores["returns"] - scores["returns"][:, :1]
    profit = outputs[[f"expected_profit_{name}" for name in names]].to_numpy()
    return {
        "log loss of return": happened * np.log(likely) + (1 - happened) * np.log(1 - likely),
        "squared error of effects": -((effects - score)[:, 1:] ** 2).mean(axis=1),
        "profit per customer": scores["profit"][place, np.argmax(profit, axis=1)],
    }


def summary(found: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean gain over repeats and the interval of one repeat, families by metrics."""
    together = pd.concat(found).groupby(["family", "metric"], sort=False).mean().reset_index()
    together["shown"] = [
        f"{gain:+.4g} ±{half:.2g}"
        for gain, half in zip(together["gain"], together["half"], strict=True)
    ]
    table = together.pivot_table(
        index="family", columns="metric", values="shown", aggfunc="first", sort=False
    )
    first = together[together["metric"] == table.columns[0]].set_index("family")["gain"]
    return table.loc[first.sort_values(ascending=False).index]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small world, one repeat")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    scale, snapshots, repeats = (0.05, 5, 1) if arguments.quick else (1.0, 8, arguments.repeats)
    warnings.simplefilter("ignore")
    pd.set_option("display.width", 250)
    with tempfile.TemporaryDirectory() as name:
        source, folder = features_of(scale, snapshots, Path(name))
        gains = [churn_gains(source, folder, 0.25, seed) for seed in range(repeats)]
        show(f"churn: gain of each family, {repeats} repeats, scale {scale:g}", summary(gains))
        gains = [return_gains(source, folder, seed) for seed in range(repeats)]
        show(
            f"return and uplift: gain of each family, {repeats} halves, scale {scale:g}",
            summary(gains),
        )


if __name__ == "__main__":
    main()
