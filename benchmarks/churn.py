"""Churn on real tables: ours beside scikit-learn's gradient boosting and a logistic regression.

    python benchmarks/churn.py [--quick]

Telco (one look at 7,043 customers): every repeat tests on other customers. Online Retail II
(monthly looks): every repeat draws four fifths of the customers and tests on the latest months.
All models of a repeat train on the same rows (peers also on those that ours calibrates on) and are
graded on the same test rows. Intervals are over repeats (Student's t), gains are paired.
Where `lifetimes` can be imported, a BG/NBD model's P(alive) is ranked as well (it is no chance
of leaving within the horizon, so its log loss and Brier score mean nothing); where `empulse`
can, our expected maximum profit is compared with its. One thread.

On the simulated telecom, whose true churn probabilities are known, the AUC to be expected among
today's active customers is told beside that of the truth itself, the best that any model can have.

Data: TELCO (a parquet file) and ONLINE_RETAIL (a folder), else ../shared/data.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show
from scipy.stats import t as student
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from winback.models.churn.churn import fit_churn
from winback.models.churn.staleness import staleness
from winback.models.evaluation.held_out import held_out
from winback.models.evaluation.probability import RetentionProfit, grade_probabilities
from winback.models.evaluation.time_split import split_by_time
from winback.pipelines.featurize import featurize
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.source_files import load_source

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
PLACES = {"telco": ("TELCO", "telco.parquet"), "online_retail": ("ONLINE_RETAIL", "online_retail")}
KEYS = ("customer_id", "as_of", "churned")
METRICS = ("auc", "pr_auc", "log_loss", "brier", "lift_10", "emp")
LESS_IS_BETTER = ("log_loss", "brier")


def snapshots(name: str, folder: Path) -> tuple[pd.DataFrame, float]:
    """Churn snapshots of a source, built by the stages themselves, and how far labels look."""
    variable, default = PLACES[name]
    os.environ.setdefault(variable, str(SHARED / default))
    source = load_source(ROOT / "sources" / f"{name}.yaml")
    params = read_params(ROOT / "params.yaml")
    settings = replace(params.featurize, snapshots=18, snapshot_every_days=30)
    ingest(source, folder / "tables", truth=folder / "truth", threads=1)
    featurize(source, settings, params.machine, tables=folder / "tables", out=folder / "features")
    assert source.churn is not None
    frame = pd.read_parquet(folder / "features" / "churn.parquet")
    return frame, float(source.churn.maturity_days)


def peers(
    train: pd.DataFrame, outcome: np.ndarray, test: pd.DataFrame
) -> dict[str, tuple[np.ndarray, float]]:
    """Probability of each peer and the CPU seconds it took; empty columns are dropped for them."""
    train = train.loc[:, train.notna().any()]
    test = test[train.columns]
    text = [name for name in train if not pd.api.types.is_numeric_dtype(train[name])]
    numbers = [name for name in train if name not in text]
    coded = {name: pd.Categorical(train[name].astype("object")).categories for name in text}

    def categories(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(
            **{name: pd.Categorical(frame[name].astype("object"), coded[name]) for name in text}
        )

    linear = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), text),
        ),
        LogisticRegression(max_iter=2000),
    )
    boosted = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    found = {}
    for name, model, prepare in (
        ("HistGradientBoosting", boosted, categories),
        ("logistic regression", linear, lambda frame: frame.astype(dict.fromkeys(text, "object"))),
    ):
        begun = time.process_time()
        fitted = model.fit(prepare(train), outcome)
        place = list(fitted.classes_).index(1)
        found[name] = (
            fitted.predict_proba(prepare(test))[:, place],
            time.process_time() - begun,
        )
    return found


def alive(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray | None:
    """1 - P(alive) of a BG/NBD model fitted on each customer's latest training snapshot."""
    try:
        from lifetimes import BetaGeoFitter
    except ImportError:
        return None
    if "orders_total" not in train:
        return None

    def history(frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
        age = frame["days_since_signup"].to_numpy(float)
        last = age - frame["days_since_last_order"].to_numpy(float)
        again = np.maximum(frame["orders_total"].to_numpy(float) - 1, 0)
        return again, np.where(again > 0, np.clip(last, 0, age), 0), age

    latest = train.sort_values("as_of").drop_duplicates("customer_id", keep="last")
    model = BetaGeoFitter(penalizer_coef=0.001).fit(*history(latest))
    return 1 - np.asarray(model.conditional_probability_alive(*history(test)))


def repeat(frame: pd.DataFrame, gap_days: float, seed: int) -> pd.DataFrame:
    """One repeat: rows of model, metric, value."""
    features = [name for name in frame if name not in KEYS]
    if frame["as_of"].nunique() > 1:
        frame = frame[~held_out(frame["customer_id"], share=0.2, seed=1000 + seed)]
    frame = frame.sort_values(["customer_id", "as_of"], ignore_index=True)
    shares = {"calibrate_share": 0.15, "test_share": 0.2, "gap_days": gap_days, "seed": seed}
    split = split_by_time(frame, **shares)
    begun = time.process_time()
    ours = fit_churn(frame, features=features, slices=(), repeats=1, **shares)
    spent = time.process_time() - begun
    known, test = np.isin(split.part, ("train", "calibrate")), split.part == "test"
    outcome = frame["churned"].to_numpy(float)
    found = {"ours": (ours.predict(frame[test]), spent)}
    found |= peers(frame.loc[known, features], outcome[known], frame.loc[test, features])
    dead = alive(frame[known], frame[test])
    if dead is not None:
        found["BG/NBD 1 - P(alive)"] = (dead, float("nan"))
    records = []
    for model, (probability, seconds) in found.items():
        grades = grade_probabilities(outcome[test], np.clip(probability, 0, 1), metrics=METRICS)
        records += [(model, metric, grades[metric]) for metric in METRICS]
        records.append((model, "cpu_seconds", seconds))
    baselines = ours.metrics[(ours.metrics["model"] != "churn") & (ours.metrics["slice"] == "all")]
    for row in baselines.itertuples():
        if row.metric in METRICS:
            records.append((row.model, row.metric, row.value))
    return pd.DataFrame(records, columns=["model", "metric", "value"]).assign(seed=seed)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and half width over repeats, and our paired gain, per model and metric."""
    wide = results.pivot_table(index="seed", columns=["metric", "model"], values="value")
    reach = student.ppf(0.975, len(wide) - 1) / np.sqrt(len(wide))
    rows = {}
    for model in results["model"].unique():
        cells = {}
        for metric in (*METRICS, "cpu_seconds"):
            if (metric, model) not in wide:
                continue
            values = wide[metric, model]
            cells[metric] = f"{values.mean():.4f} ±{reach * values.std():.4f}"
            if model != "ours" and metric in ("auc", "pr_auc", "log_loss"):
                gain = wide[metric, "ours"] - values
                gain = -gain if metric in LESS_IS_BETTER else gain
                cells[f"our gain {metric}"] = f"{gain.mean():+.4f} ±{reach * gain.std():.4f}"
        rows[model] = cells
    return pd.DataFrame(rows).T.fillna("")


def compare_expected_maximum_profit() -> None:
    """Largest difference to empulse over random tables and costs."""
    try:
        from empulse.metrics import empc_score
    except ImportError:
        print("\nempulse cannot be imported: expected maximum profit not compared")
        return
    worst = 0.0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        outcome = (rng.random(500) < rng.uniform(0.05, 0.5)).astype(int)
        score = np.clip(0.2 * outcome + 0.7 * rng.random(500), 0, 1)
        profit = RetentionProfit(
            value=float(rng.uniform(50, 500)),
            incentive_cost=float(rng.uniform(1, 40)),
            contact_cost=float(rng.uniform(0.1, 5)),
        )
        ours = grade_probabilities(outcome, score, profit=profit, metrics=("emp",))["emp"]
        theirs = empc_score(
            outcome,
            score,
            clv=profit.value,
            incentive_cost=profit.incentive_cost,
            contact_cost=profit.contact_cost,
        )
        worst = max(worst, abs(ours - theirs))
    print(f"\nexpected maximum profit, 50 tables: largest difference to empulse {worst:.2e}")


def expected_auc(score: np.ndarray, chance: np.ndarray) -> float:
    """AUC of a score among customers who leave with these probabilities, on average."""
    leaves = np.repeat([1, 0], len(chance))
    weight = np.concatenate([chance, 1 - chance])
    return float(roc_auc_score(leaves, np.tile(score, 2), sample_weight=weight))


def share_of_oracle(scale: float) -> str:
    """Expected AUC of our churn model on a simulated telecom, as a share of the oracle's."""
    source = load_source(ROOT / "sources" / "kumar.yaml", overrides={"scale": scale})
    params = read_params(ROOT / "params.yaml")
    assert source.churn is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ingest(source, folder / "tables", truth=folder / "truth", threads=1)
        featurize(
            source,
            params.featurize,
            params.machine,
            tables=folder / "tables",
            out=folder / "features",
        )
        known = pd.read_parquet(folder / "features" / "churn.parquet")
        today = pd.read_parquet(folder / "features" / "current.parquet")
        truth = pd.read_parquet(folder / "truth" / "active.parquet")
    features = [name for name in known if name not in KEYS]
    gap_days = float(source.churn.maturity_days)
    model = fit_churn(known, features=features, gap_days=gap_days, slices=(), seed=1)
    rows = today[today["population"] == "active"].merge(
        truth.drop(columns="as_of"), on="customer_id", validate="one_to_one"
    )
    chance = rows["churn_probability"].to_numpy()
    ours, oracle = expected_auc(model.predict(rows), chance), expected_auc(chance, chance)
    return (
        f"simulated telecom at scale {scale:g}, {len(rows):,} active customers: expected AUC "
        f"{ours:.3f}, of the true probabilities {oracle:.3f}: {ours / oracle:.1%} of the oracle's, "
        f"{(ours - 0.5) / (oracle - 0.5):.1%} of its distance from chance"
    )


def main() -> None:
    """Print one table per data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two repeats")
    parser.add_argument("--repeats", type=int, default=20)
    repeats = 2 if (arguments := parser.parse_args()).quick else arguments.repeats
    warnings.simplefilter("ignore")
    pd.set_option("display.width", 250)
    pd.set_option("display.max_columns", 20)
    for name in PLACES:
        variable, default = PLACES[name]
        if not Path(os.environ.get(variable, SHARED / default)).exists():
            print(f"\n{name}: no data, set {variable}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            frame, gap_days = snapshots(name, Path(folder))
        results = pd.concat([repeat(frame, gap_days, seed) for seed in range(repeats)])
        show(
            f"{name}: {len(frame):,} snapshots of {frame['customer_id'].nunique():,} customers, "
            f"churn rate {frame['churned'].mean():.3f}, {repeats} repeats",
            summary(results).T,
        )
        if frame["as_of"].nunique() > 1:
            aged = staleness(
                frame,
                features=[column for column in frame if column not in KEYS],
                gap_days=gap_days,
                months=(0, 1, 3, 6),
                seed=0,
            )
            show(f"{name}: age of the model, same number of training dates", aged)
    compare_expected_maximum_profit()
    print("\n" + share_of_oracle(0.1 if arguments.quick else 1.0))


if __name__ == "__main__":
    main()
