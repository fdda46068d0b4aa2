"""Stage evaluate: grade models and policies on held-out rows.

Writes one file of figures for `dvc metrics`, the policies side by side, and the tables behind the
plots (CSV, one per plot). Chapters without a model are left out of all three.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..models.decision.decision import Decision
from ..models.decision.eligibility import Rules
from ..models.decision.policy_tree import sent_by
from ..models.decision.recommend import sent_offers
from ..models.evaluation.best_dose import by_dose
from ..models.evaluation.budget import budget_curve, qini_curves
from ..models.evaluation.fairness import by_group
from ..models.evaluation.graded import Graded
from ..models.evaluation.policies import compare, paired_gains
from ..models.evaluation.probability import grade_probabilities
from ..models.evaluation.retention import BY_RISK, BY_UPLIFT, by_share, chosen_by, single_offer
from ..models.evaluation.within_limits import reach_of_offers
from ..models.formula.calibration import amounts_table, reliability_table
from ..models.formula.formula import RETENTION
from ..models.offers import STAYS, chances_of
from .job.progress import say, step
from .settings.experiments import Experiment
from .settings.objectives import graded
from .settings.params import Evaluate, Machine
from .settings.sources import Source
from .storage.atomic import replace_file, replace_folder, scratch_beside, verify
from .storage.policy_tree import read_policy_tree
from .storage.stage_outputs import LEAVERS, why_skipped
from .storage.trained_models import read_decision
from .tables.protected import count_protected
from .tables.safe_csv import read_table, save_table

VALUE_BINS = 10
FEWEST_LEAVERS = 100


def evaluate(
    source: Source,
    params: Evaluate,
    machine: Machine,
    *,
    churn: Path,
    winback: Path,
    decision: Path,
    tables: Path,
    recommendations: Path,
    metrics: Path,
    headline: Path,
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
                figures["churn_tested_on"] = verify(churn)["split"]
        if source.experiment is not None and not why_skipped(winback, "winback"):
            with step("grades of offers and policies on held-out customers"):
                decided = read_decision(decision)
                figures |= _winback(
                    source.experiment, params, winback, decided, new.path, graded_policies
                )
        kept = source.retention_experiment
        if kept is not None and not why_skipped(winback, "retention"):
            with step("grades of what keeps active customers, on held-out ones"):
                decided = read_decision(decision)
                figures |= _retention(kept, params, winback, decided, new.path)
        if source.protected:
            with (
                step("offers by protected group"),
                scratch_beside(plots, "protected") as scratch,
            ):
                counts = count_protected(source, tables, recommendations, machine, scratch)
                figures |= _fairness(counts, params.level, new.path)
    replace_file(metrics, _json(figures))
    replace_file(headline, _json(headline_of(figures)))
    replace_file(policies, _json(graded_policies))
    if not figures:
        say("nothing to grade: this source has neither a churn nor a win-back model")


def headline_of(figures: Mapping[str, Any]) -> dict[str, float]:
    """The five figures by which experiments are compared first; those that there are.

    Returns
    -------
    dict
        churn_auc, churn_log_loss; return_log_loss (mean over the offers); policy_value and
        policy_gain over the best single offer, under the first objective that is graded.
    """
    found: dict[str, float] = {}
    if "churn" in figures:
        churn = figures["churn"]["churn"]
        found |= {"churn_auc": churn["auc"], "churn_log_loss": churn["log_loss"]}
    if "winback" in figures:
        losses = [grades["log_loss"] for grades in figures["winback"].values()]
        found["return_log_loss"] = float(np.mean(losses))
    if figures.get("policy"):
        ours = next(iter(figures["policy"].values()))
        found |= {"policy_value": ours["value_per_customer"]}
        found |= {"policy_gain": ours["gain_over_best_single"]}
    return found


def _churn(folder: Path, plots: Path) -> dict[str, Any]:
    table = read_table(folder / "metrics.csv")
    save_table(read_table(folder / "reliability.csv"), plots / "churn_reliability.csv")
    whole = table[table["slice"] == "all"]
    return {
        str(model): dict(zip(rows["metric"], rows["value"], strict=True))
        for model, rows in whole.groupby("model", sort=False)
    }


def _winback(
    experiment: Experiment,
    params: Evaluate,
    folder: Path,
    decision: Decision,
    plots: Path,
    graded_policies: list[Any],
) -> dict[str, Any]:
    rows = pd.read_parquet(folder / "held_out.parquet")
    tree = read_policy_tree(folder)
    tree_sends = {"policy_tree": sent_by(tree, rows)} if tree else {}
    judged = _judged(rows, experiment, decision)
    by_objective = {}
    for objective in judged:
        table = _compared(judged, rows, decision, objective, rivals=tree_sends, level=params.level)
        graded_policies += table.to_dict("records")
        by_objective[objective] = _headline(table, decision.by_objective[objective])
    save_table(pd.DataFrame(graded_policies), plots / "policies.csv")
    first = "profit" if "profit" in decision.by_objective else "returns"
    curve = budget_curve(
        judged[first],
        offers=experiment.offers,
        replicates=params.bootstraps,
        level=params.level,
        seed=params.seed,
    )
    doses, by_family = _doses(judged[first], experiment, params.level)
    response, reliability = _response(rows, experiment)
    apart, leavers = _leavers(folder, experiment)
    written: dict[str, pd.DataFrame | None] = {
        "budget_curve": curve,
        "qini": qini_curves(
            judged["returns"],
            replicates=params.bootstraps,
            level=params.level,
            seed=params.seed,
        ),
        "return_reliability": reliability,
        "value_reliability": _values(rows, experiment),
        "leavers_reliability": leavers,
        "doses": doses,
    }
    for name, frame in written.items():
        if frame is not None:
            save_table(frame, plots / f"{name}.csv")
    prices = _rule_prices(judged[decision.objective], decision, rows, params.level)
    save_table(prices, plots / "rules.csv")
    by_rule = prices.set_index("rule").to_dict("index")
    figures = {"winback": response, "policy": by_objective, "rules": by_rule} | apart
    families = {family: found | {"objective": first} for family, found in by_family.items()}
    return figures | ({"doses": families} if families else {})


def _retention(
    experiment: Experiment, params: Evaluate, folder: Path, decision: Decision, plots: Path
) -> dict[str, Any]:
    """Policies for active customers, and whom to choose: by risk or by effect."""
    kept = decision.retention
    assert kept is not None  # stage recommend has decided on them if there are models
    rows = pd.read_parquet(folder / RETENTION / "held_out.parquet")
    risk = 1 - rows[f"{STAYS}{experiment.control}"].to_numpy()
    judged = _judged(rows, experiment, kept)
    tables, shares, figures = [], [], {}
    for objective, decided in kept.by_objective.items():
        mine = judged[objective]
        single = single_offer(mine, decided["best_single"])
        rivals = chosen_by(mine, risk=risk, single=single)
        table = _compared(judged, rows, kept, objective, rivals=rivals, level=params.level)
        tables.append(table)
        (lead,) = paired_gains(
            mine, rivals[BY_RISK], {BY_UPLIFT: rivals[BY_UPLIFT]}, level=params.level
        ).to_dict("records")
        figures[objective] = _headline(table, decided) | {
            "sent_by_risk": single,
            "contacted": float((rivals[BY_UPLIFT] != experiment.control).mean()),
            "uplift_over_risk": lead["gain"],
            "uplift_over_risk_lo": lead["lo"],
            "uplift_over_risk_hi": lead["hi"],
        }
        if objective != "roi":
            curve = by_share(mine, risk=risk, single=single, level=params.level)
            shares.append(curve.assign(objective=objective))
    response, reliability = _response(rows, experiment)
    written = {"policies": pd.concat(tables), "shares": pd.concat(shares)}
    for name, frame in (written | {"reliability": reliability}).items():
        save_table(frame, plots / f"retention_{name}.csv")
    return {"retention": {"stay": response, "policy": figures}}


def _judged(rows: pd.DataFrame, experiment: Experiment, decision: Decision) -> dict[str, Graded]:
    """The held-out rows, ready to grade by each objective."""
    return {name: graded(rows, rows, experiment, name) for name in decision.by_objective}


def _compared(
    judged: Mapping[str, Graded],
    rows: pd.DataFrame,
    decision: Decision,
    objective: str,
    *,
    rivals: Mapping[str, np.ndarray],
    level: float,
) -> pd.DataFrame:
    """Every policy by one objective, ours as it is deployed."""
    decided = decision.by_objective[objective]
    deployed = _for_objective(decision, objective)
    sent = sent_offers(deployed, rows, rows)
    return compare(
        judged[objective],
        personalize=decided["personalize"],
        best_single=decided["best_single"],
        deployed=sent,
        reach=reach_of_offers(deployed, sent, judged[objective].response),
        rivals=rivals,
        level=level,
    ).assign(objective=objective)


def _for_objective(decision: Decision, objective: str) -> Decision:
    """The decision under another objective, without the prices of limits: they hold for its own."""
    if objective == decision.objective:
        return decision
    return replace(decision.unlimited(), objective=objective)


def _rule_prices(
    judged: Graded, decision: Decision, rows: pd.DataFrame, level: float
) -> pd.DataFrame:
    """What each rule of the deployed decision costs, and the limits where they bind."""
    without = {
        rule.name: replace(decision, rules=replace(decision.rules, **{rule.name: None}))
        for rule in fields(Rules)
    }
    if decision.limited:
        without["limits"] = decision.unlimited()
    prices = paired_gains(
        judged,
        sent_offers(decision, rows, rows),
        {name: sent_offers(other, rows, rows) for name, other in without.items()},
        level=level,
    )
    return prices.rename(columns={"policy": "rule", "gain": "cost_per_customer"})


def _headline(table: pd.DataFrame, decided: Mapping[str, Any]) -> dict[str, Any]:
    (ours,) = table[table["policy"] == "ours"].to_dict("records")
    return {
        "best_single": decided["best_single"],
        "over": ours["over"],
        "personalized": decided["personalize"],
        **{name: float(ours[name]) for name in ("value_per_customer", "lo", "hi")},
        **{name: float(ours[name]) for name in ("gain_over_best_single", "gain_lo", "gain_hi")},
    }


def _doses(
    judged: Graded, experiment: Experiment, level: float
) -> tuple[pd.DataFrame | None, dict[str, dict[str, Any]]]:
    """Each family of doses, and what the best dose for each customer gains; None without any."""
    tables, gains = [], {}
    for family, doses in experiment.doses.items():
        by_family, gains[family] = by_dose(judged, doses, level=level)
        tables.append(by_family.assign(family=family))
    return pd.concat(tables, ignore_index=True) if tables else None, gains


def _response(
    rows: pd.DataFrame, experiment: Experiment
) -> tuple[dict[str, dict[str, float]], pd.DataFrame]:
    """Grades and reliability of the chance to return or stay, among those who got each offer."""
    chances = chances_of(rows.columns, experiment.control)
    grades, tables = {}, []
    for name in experiment.offer_names:
        sent = rows[rows["offer"] == name]
        returned, chance = (
            sent["returned"].to_numpy(),
            sent[f"{chances}{name}"].to_numpy(),
        )
        grades[name] = _grades(returned, chance)
        tables.append(reliability_table(chance, returned).assign(offer=name))
    return grades, pd.concat(tables, ignore_index=True)


def _leavers(
    folder: Path, experiment: Experiment
) -> tuple[dict[str, dict[str, float]], pd.DataFrame | None]:
    """The same for the chance without an offer, among leavers who were in no experiment."""
    if not (folder / LEAVERS).exists():
        return {}, None
    rows = pd.read_parquet(folder / LEAVERS)
    if len(rows) < FEWEST_LEAVERS:
        return {}, None
    returned = rows["returned"].to_numpy()
    chance = rows[f"return_probability_{experiment.control}"].to_numpy()
    grades = _grades(returned, chance) | {"predicted": float(chance.mean())}
    return {"leavers": grades}, reliability_table(chance, returned)


def _values(rows: pd.DataFrame, experiment: Experiment) -> pd.DataFrame | None:
    """Predicted against observed value of those who returned, by the offer they got."""
    tables = []
    for name in experiment.offer_names:
        back = rows[(rows["offer"] == name) & (rows["returned"] == 1) & rows["value"].notna()]
        if f"value_{name}" in rows.columns and len(back) >= VALUE_BINS:
            predicted = back[f"value_{name}"]
            tables.append(amounts_table(predicted, back["value"], bins=VALUE_BINS))
            tables[-1]["offer"] = name
    return pd.concat(tables, ignore_index=True) if tables else None


def _fairness(counts: Mapping[str, pd.DataFrame], level: float, plots: Path) -> dict[str, Any]:
    """Counts and the lowest ratio, without names, since metrics travel; the table by group."""
    found = []
    for name, groups in counts.items():
        rows = by_group(groups, level=level)
        found.append(pd.DataFrame({"column": name}, index=rows.index).join(rows))
    if not found:
        return {}
    table = pd.concat(found, ignore_index=True)
    save_table(table, plots / "fairness.csv")
    judged = table["ratio"].dropna()
    figures = {"columns": len(found), "judged": len(judged), "alerts": int(table["alert"].sum())}
    return {"fairness": figures | ({"lowest_ratio": float(judged.min())} if len(judged) else {})}


def _grades(outcome: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    grades = grade_probabilities(outcome, chance)
    return {key: grades[key] for key in ("rows", "base_rate", "auc", "log_loss", "ece")}


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
