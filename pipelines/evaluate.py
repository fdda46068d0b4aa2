"""Stage evaluate: how good the models and the policies are, on rows that they never saw.

Writes one file of figures for `dvc metrics`, the policies side by side, and the tables behind the
plots (CSV, one per plot). Chapters without a model are left out of all three.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..models.calibrate import reliability_table
from ..models.comparison import Graded, compare
from ..models.grade import grade_probabilities
from ..models.inference import DECISION_FILE
from ..models.qini import average_qini, multi_armed_qini
from ..models.qini_bootstrap import bootstrap
from .grading import costs, graded
from .params import Evaluate
from .parts import why_skipped
from .progress import say, step
from .sources import Experiment, Source
from .store import replace_file, replace_folder

BUDGETS = 41  # points of the budget curve


def evaluate(
    source: Source,
    params: Evaluate,
    *,
    churn: Path,
    winback: Path,
    metrics: Path,
    policies: Path,
    plots: Path,
) -> None:
    """Grade what was trained; write the figures, the policies and the tables behind the plots."""
    figures: dict[str, Any] = {}
    graded_policies: list[Any] = []
    with replace_folder(plots) as new:
        if not why_skipped(churn, "churn"):
            with step("grades of the churn model"):
                figures["churn"] = _churn(churn, new.path)
        if source.experiment is not None and not why_skipped(winback, "winback"):
            with step("grades of offers and policies on held-out customers"):
                figures |= _winback(source.experiment, params, winback, new.path, graded_policies)
    replace_file(metrics, _json(figures))
    replace_file(policies, _json(graded_policies))
    if not figures:
        say("nothing to grade: this source has neither a churn nor a win-back model")


def _churn(folder: Path, plots: Path) -> dict[str, Any]:
    table = pd.read_csv(folder / "metrics.csv")
    pd.read_csv(folder / "reliability.csv").to_csv(plots / "churn_reliability.csv", index=False)
    whole = table[table["slice"] == "all"]
    return {
        str(model): dict(zip(rows["metric"], rows["value"], strict=True))
        for model, rows in whole.groupby("model", sort=False)
    }


def _winback(
    experiment: Experiment,
    params: Evaluate,
    folder: Path,
    plots: Path,
    graded_policies: list[Any],
) -> dict[str, Any]:
    rows = pd.read_parquet(folder / "held_out.parquet")
    decision = json.loads((folder / DECISION_FILE).read_text())
    by_objective = {}
    for objective, decided in decision["by_objective"].items():
        judged = graded(rows, rows, experiment, objective)
        table = compare(
            judged,
            personalize=decided["personalize"],
            best_single=decided["best_single"],
            level=params.level,
        ).assign(objective=objective)
        graded_policies += table.to_dict("records")
        by_objective[objective] = _headline(table, decided)
    pd.DataFrame(graded_policies).to_csv(plots / "policies.csv", index=False)
    first = "profit" if "profit" in decision["by_objective"] else "returns"
    curve = _budget_curve(graded(rows, rows, experiment, first), experiment, params)
    curve.to_csv(plots / "budget_curve.csv", index=False)
    response, reliability = _response(rows, experiment)
    reliability.to_csv(plots / "return_reliability.csv", index=False)
    return {"winback": response, "policy": by_objective}


def _headline(table: pd.DataFrame, decided: Mapping[str, Any]) -> dict[str, Any]:
    (ours,) = table[table["policy"] == "ours"].to_dict("records")
    return {
        "best_single": decided["best_single"],
        "personalized": decided["personalize"],
        **{name: float(ours[name]) for name in ("value_per_customer", "lo", "hi")},
        **{name: float(ours[name]) for name in ("gain_over_best_single", "gain_lo", "gain_hi")},
    }


def _response(
    rows: pd.DataFrame, experiment: Experiment
) -> tuple[dict[str, dict[str, float]], pd.DataFrame]:
    """Grades and reliability of the return probability, among those who got each offer."""
    grades, tables = {}, []
    for name in experiment.offer_names:
        sent = rows[rows["offer"] == name]
        returned, chance = (
            sent["returned"].to_numpy(),
            sent[f"return_probability_{name}"].to_numpy(),
        )
        found = grade_probabilities(returned, chance)
        grades[name] = {key: found[key] for key in ("rows", "base_rate", "auc", "log_loss", "ece")}
        tables.append(reliability_table(chance, returned).assign(offer=name))
    return grades, pd.concat(tables, ignore_index=True)


def _budget_curve(judged: Graded, experiment: Experiment, params: Evaluate) -> pd.DataFrame:
    """Gain per customer over spend per customer, personal offers beside the same for everybody."""
    by_offer = costs(experiment)
    chance = judged.response[:, 1:]
    spend = chance * [by_offer[name][0] for name in judged.names[1:]]
    spend = spend + [by_offer[name][1] for name in judged.names[1:]]
    if not (spend > 0).all():
        spend = np.ones_like(chance)  # where offers cost nothing, what is spent is contacts
    effects = judged.expected[:, 1:] - judged.expected[:, :1]
    scores = judged.scores[:, 1:] - judged.scores[:, :1]
    curves = {
        "personal offers": multi_armed_qini(effects, spend, scores),
        "the same for everybody": average_qini(effects, spend, scores),
    }
    budgets = np.linspace(0.0, max(float(curve.spend[-1]) for curve in curves.values()), BUDGETS)
    drawn = bootstrap(
        curves, budgets, rng=np.random.default_rng(params.seed), replicates=params.bootstraps
    )
    return pd.concat(
        [drawn.curve(name, level=params.level).assign(policy=name) for name in curves],
        ignore_index=True,
    )


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
