"""What a budget earns: our choice beside the usual ways to choose whom to win back.

    python benchmarks/policy.py [--quick]

A simulated experiment (sources/kumar.yaml) is split at random: the win-back models learn from one
half, every policy decides about the other, and the simulator's truth says what each decision
earns and costs. Budgets are shares of what the best single offer for all would cost. Two more
tables: how far the choice within limits is from the linear program, and its seconds on 100,000
customers.
One thread. Means and 95% intervals over random halves (they share one simulated world).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from results import show
from scipy import sparse
from scipy.optimize import linprog
from scipy.stats import t as student

from winback.models.decision.limit_prices import limit_prices
from winback.models.formula.formula import evaluate
from winback.models.offers import expected_costs, with_control
from winback.models.returns.returns import fit_winback
from winback.pipelines.featurize import featurize
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.experiments import Experiment
from winback.pipelines.settings.params import read_params
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.storage.stage_outputs import feature_names

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = (0.1, 0.25, 0.5, 0.75, 1.0)
Table = np.ndarray


def experiment_rows(scale: float, folder: Path) -> tuple[pd.DataFrame, list[str], Experiment]:
    """Rows of the simulated experiment with features and, under `true_...`, the truth."""
    source = load_source(ROOT / "sources" / "kumar.yaml", overrides={"scale": scale})
    params = read_params(ROOT / "params.yaml")
    ingest(source, folder / "tables", truth=folder / "truth", threads=1)
    settings = replace(params.featurize, snapshots=1)
    featurize(source, settings, params.machine, tables=folder / "tables", out=folder / "features")
    rows = pd.read_parquet(folder / "features" / "winback.parquet")
    truth = pd.read_parquet(folder / "truth" / "customers.parquet")
    truth = truth[truth["population"] == "experiment"].drop(columns=["as_of", "population"])
    truth.columns = pd.Index(
        [name if name == "customer_id" else f"true_{name}" for name in truth.columns]
    )
    assert source.experiment is not None
    names = feature_names(folder / "features", rows)
    return rows.merge(truth, on="customer_id"), names, source.experiment


def forecast(
    train: pd.DataFrame, test: pd.DataFrame, names: list[str], experiment: Experiment, seed: int
) -> pd.DataFrame:
    """Outputs of win-back models fitted on one half, for the other."""
    model = fit_winback(
        train[names],
        offer=train["offer"].to_numpy(),
        propensity=train["propensity"].to_numpy(),
        returned=train["returned"].to_numpy(),
        value=train["value"].to_numpy(),
        second_days=train["second_days"].to_numpy(),
        second_ended=train["second_ended"].to_numpy(),
        offers=experiment.offers,
        control=experiment.control,
        horizon_days=experiment.value_horizon_days,
        seed=seed,
        threads=1,
    )
    return evaluate(model.formula, test)


def tables(outputs: pd.DataFrame, stem: str, experiment: Experiment) -> tuple[Table, Table, Table]:
    """Probability, profit gain and expected cost (rows, options), the control first."""
    names = experiment.offer_names
    prefix, profit = f"{stem}return_probability_", "profit_" if stem else "expected_profit_"
    chance = outputs[[prefix + name for name in names]].to_numpy()
    earned = outputs[[stem + profit + name for name in names]].to_numpy()
    cost = expected_costs(with_control(experiment.offers, experiment.control), chance)
    return chance, earned - earned[:, :1], cost


def in_order(order: Table, option: int | Table, cost: Table, budget: float) -> Table:
    """One offer each, in that order, as long as the money lasts."""
    options = np.broadcast_to(option, order.shape)
    spent = np.cumsum(cost[order, options[order]])
    chosen = np.zeros(len(order), dtype=int)
    sent = order[spent <= budget]
    chosen[sent] = options[sent]
    return chosen


def within(gain: Table, cost: Table, **limits: Any) -> Table:
    """The option of each customer that is worth most at the prices of the limits."""
    money, prices = limit_prices(gain, cost, **limits)
    return np.argmax(gain - money * cost - prices, axis=1)


def policies(
    chance: Table, gain: Table, cost: Table, truth: tuple[Table, Table, Table], seed: int
) -> dict[str, Callable[[float], Table]]:
    """Each policy as a function of the budget, on forecasts alone (but for the oracle)."""
    single = 1 + int(np.argmax(gain[:, 1:].mean(axis=0)))
    shuffled = np.random.default_rng(seed).permutation(len(gain))
    by_risk = np.argsort(chance[:, 0], kind="stable")
    by_response = np.argsort(-chance[:, single], kind="stable")
    likeliest = 1 + np.argmax(chance[:, 1:], axis=1)
    by_likeliest = np.argsort(-chance.max(axis=1), kind="stable")
    return {
        "ours": lambda budget: within(gain, cost, budget=budget),
        "best single offer, at random": lambda budget: in_order(shuffled, single, cost, budget),
        "best single, least likely to return": lambda budget: in_order(
            by_risk, single, cost, budget
        ),
        "best single, likeliest response": lambda budget: in_order(
            by_response, single, cost, budget
        ),
        "likeliest offer, likeliest response": lambda budget: in_order(
            by_likeliest, likeliest, cost, budget
        ),
        "oracle": lambda budget: within(truth[1], truth[2], budget=budget),
    }


def budget_curves(repeats: int, scale: float) -> None:
    """Print true profit per customer against the budget, and what is truly spent."""
    with tempfile.TemporaryDirectory() as folder:
        rows, names, experiment = experiment_rows(scale, Path(folder))
    records = []
    for seed in range(repeats):
        half = np.random.default_rng(seed).permutation(len(rows)) < len(rows) // 2
        test = rows[~half].reset_index(drop=True)
        outputs = forecast(rows[half], test, names, experiment, seed)
        chance, gain, cost = tables(outputs, "", experiment)
        truth = tables(test, "true_", experiment)
        place = np.arange(len(test))
        full = cost[:, 1 + int(np.argmax(gain[:, 1:].mean(axis=0)))].sum()
        for name, choose in policies(chance, gain, cost, truth, seed).items():
            for share in BUDGETS:
                chosen = choose(share * full)
                records.append(
                    {
                        "policy": name,
                        "budget": share,
                        "seed": seed,
                        "profit": truth[1][place, chosen].mean(),
                        "spent": truth[2][place, chosen].sum() / full,
                    }
                )
    results = pd.DataFrame(records)
    wide = results.pivot_table(index="seed", columns=["policy", "budget"], values="profit")
    reach = student.ppf(0.975, repeats - 1) / np.sqrt(repeats) if repeats > 1 else np.nan
    order = list(dict.fromkeys(results["policy"]))
    shown = pd.DataFrame(
        {
            f"budget {share:.0%}": [
                f"{wide[name, share].mean():.1f} ±{reach * wide[name, share].std():.1f}"
                for name in order
            ]
            for share in BUDGETS
        },
        index=order,
    )
    show(
        f"true profit per customer above no offer, {len(rows) // 2:,} customers, "
        f"{repeats} random halves",
        shown.rename_axis("policy"),
    )
    others = [name for name in order if name not in ("ours", "oracle")]
    for share in BUDGETS:
        best = max(others, key=lambda name: wide[name, share].mean())
        gain = wide["ours", share] - wide[best, share]
        of_oracle = wide["ours", share].mean() / wide["oracle", share].mean()
        print(
            f"  budget {share:.0%}: ours above '{best}' {gain.mean():+.2f} "
            f"±{reach * gain.std():.2f}, {of_oracle:.1%} of the oracle"
        )
    spent = results.pivot_table(index="policy", columns="budget", values="spent").loc[order]
    show("truly spent, as a share of the full budget", spent, decimals=3)


def linear_program(gain: Table, cost: Table, budget: float, capacity: Table) -> float:
    """Bound of the linear program over all customers and options."""
    rows, options = gain.shape
    use = sparse.kron(np.ones((1, rows)), sparse.eye(options)).tocsr()[1:]
    found = linprog(
        -gain.ravel(),
        A_ub=sparse.vstack([use, sparse.csr_array(cost.reshape(1, -1))]),
        b_ub=np.r_[capacity[1:], budget],
        A_eq=sparse.kron(sparse.eye(rows), np.ones((1, options))),
        b_eq=np.ones(rows),
        bounds=(0, None),
        method="highs",
    )
    return float(-found.fun)


def random_problem(rows: int, seed: int) -> tuple[Table, Table]:
    """Gains and costs of three offers, the control first."""
    rng = np.random.default_rng(seed)
    cost = np.column_stack([np.zeros(rows), rng.uniform(1, 20, (rows, 3))])
    return np.column_stack([np.zeros(rows), rng.normal(5, 8, (rows, 3))]), cost


def distance_to_linear_program(cases: int) -> None:
    """Print the largest gap to the program's bound, in steps (largest single gain)."""
    worst = {"budget": 0.0, "budget and capacities": 0.0}
    for seed in range(cases):
        rows = 30 + 10 * (seed % 20)
        gain, cost = random_problem(rows, seed)
        budget = 2.0 * rows
        for name, capacity in (
            ("budget", np.full(4, np.inf)),
            ("budget and capacities", np.array([np.inf, rows // 6, rows // 8, rows // 5])),
        ):
            room = np.where(np.isinf(capacity), rows, capacity)
            chosen = within(gain, cost, budget=budget, capacity=capacity)
            gap = linear_program(gain, cost, budget, room) - gain[np.arange(rows), chosen].sum()
            worst[name] = max(worst[name], gap / gain.max())
    print(f"\nwithin limits, against the linear program, {cases} cases of 30 to 220 customers")
    for name, gap in worst.items():
        print(f"  {name}: at most {gap:.2f} of one customer's largest gain below the bound")


def seconds(rows: int) -> None:
    """Print seconds on many customers."""
    gain, cost = random_problem(rows, 0)
    capacity = np.array([np.inf, 0.15, 0.08, 0.22]) * rows
    print(f"\nseconds for {rows:,} customers and three offers")
    for name, limits in (
        ("budget", {"budget": 2.0 * rows}),
        ("budget and capacities", {"budget": 2.0 * rows, "capacity": capacity}),
    ):
        begun = time.process_time()
        within(gain, cost, **limits)
        print(f"  {name}: {time.process_time() - begun:.2f}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small world, two halves")
    parser.add_argument("--halves", type=int, default=10)
    arguments = parser.parse_args()
    quick = arguments.quick
    warnings.simplefilter("ignore")
    distance_to_linear_program(20 if quick else 200)
    seconds(20_000 if quick else 100_000)
    budget_curves(*((2, 0.2) if quick else (arguments.halves, 1.0)))


if __name__ == "__main__":
    main()
