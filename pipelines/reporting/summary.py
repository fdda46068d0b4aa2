"""The results that the report reads, and the summary that a run prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..settings.sources import Source
from . import words


@dataclass(frozen=True)
class Inputs:
    """Where the stages left what the report shows."""

    tables: Path
    features: Path
    churn: Path
    winback: Path
    decision: Path
    metrics: Path
    policies: Path
    plots: Path
    recommendations: Path


@dataclass(frozen=True)
class Findings:
    """Results of the stages as the report reads them.

    `recommendations` tells nothing of the offers that keep active customers; `kept` has the rows of
    these customers, and is empty without an experiment among them.
    """

    source: Source
    as_of: pd.Timestamp
    metrics: Mapping[str, Any]
    policies: pd.DataFrame
    decision: Mapping[str, Any]
    recommendations: pd.DataFrame
    skipped: Mapping[str, str]
    objective: str
    level: float
    kept: pd.DataFrame = field(default_factory=pd.DataFrame)


def summary(findings: Findings, *, report: Path) -> str:
    """The same for a terminal, with the path of the report."""
    lines = ["", f"{findings.source.title}, as of {findings.as_of:%Y-%m-%d}", ""]
    lines += [f"  {words}" for words in _lines(findings)]
    lines += ["", f"  report    {report}", ""]
    return "\n".join(lines)


def _lines(findings: Findings) -> Iterator[str]:
    customers = findings.recommendations
    for part, why in findings.skipped.items():
        yield f"{part:<10}left out: {why}"
    if "churn_probability" in customers:
        risk = customers["churn_probability"].dropna()
        model = findings.metrics["churn"]["churn"]
        yield (
            f"active    {len(risk):,} customers, {risk.sum():,.0f} expected to leave "
            f"(AUC {model['auc']:.3f}, lift in the top tenth {model['lift_10']:.2f})"
        )
    if len(findings.kept):
        yield from _kept(findings)
    if not findings.decision:
        return
    decided = decided_for(findings)
    offers = sent(findings)
    candidates = customers["recommended_offer"].notna().sum()
    who = "lost" if "churn_probability" in customers else "asked"
    yield f"{who:<10}{candidates:,} customers, {len(offers):,} of them to be sent an offer"
    for name, rows in offers.groupby("recommended_offer"):
        gain = rows["expected_incremental_profit"].sum()
        worth = f", expected gain {gain:,.0f}" if gain == gain and gain != 0 else ""
        yield f"          {name:<14}{len(rows):>8,} customers{worth}"
    ours = ours_of(findings)
    yield (
        f"policy    {_unit(findings)} {_amount(ours['value_per_customer'], findings)} "
        f"[{_amount(ours['lo'], findings)}, {_amount(ours['hi'], findings)}] on {ours['n']:,.0f} "
        "held-out customers"
    )
    gain, low, high, more = words.more_or_less(
        ours["gain_over_best_single"], ours["gain_lo"], ours["gain_hi"]
    )
    yield (
        f"          {_amount(gain, findings)} [{_amount(low, findings)}, "
        f"{_amount(high, findings)}] {more} than {decided['best_single']} for all"
        + ("" if decided["personalize"] else ", which is what is sent under the rules")
    )


def _kept(findings: Findings) -> Iterator[str]:
    """How many active customers are to be sent an offer, and what choosing by uplift gains."""
    offers = findings.kept[~findings.kept["holdout"]]["recommended_offer"].dropna()
    control = findings.source.retention.control if findings.source.retention else ""
    figures = findings.metrics["retention"]["policy"][findings.objective]
    lead, low, high = (
        _amount(figures[f"uplift_over_risk{end}"], findings) for end in ("", "_lo", "_hi")
    )
    yield (
        f"keep      {(offers != control).sum():,} of them to be sent an offer; chosen by uplift, "
        f"not by risk: {lead} [{low}, {high}] per held-out customer"
    )


def decided_for(findings: Findings) -> Mapping[str, Any]:
    """The decision of the training for the objective of the campaign."""
    decided: Mapping[str, Any] = findings.decision["by_objective"][findings.objective]
    return decided


def sent(findings: Findings) -> pd.DataFrame:
    """Customers who are to be sent an offer: not the holdout, not those who get none."""
    customers = findings.recommendations
    if not findings.decision:
        return customers.iloc[:0]
    offer = customers["recommended_offer"]
    return customers[
        offer.notna() & (offer != findings.decision["control"]) & ~customers["holdout"]
    ]


def top(rows: pd.DataFrame, by: str, count: int) -> pd.DataFrame:
    """The rows with the largest values of a column, of equal ones the smaller id first."""
    keys = rows[[by, "customer_id"]].sort_values([by, "customer_id"], ascending=[False, True])
    return rows.loc[keys.index[:count]]


def ours_of(findings: Findings) -> dict[str, Any]:
    """The grades of our policy for the objective of the campaign."""
    rows = findings.policies
    ours = rows[(rows["objective"] == findings.objective) & (rows["policy"] == "ours")]
    return {str(name): value for name, value in ours.to_dict("records")[0].items()}


def _unit(findings: Findings) -> str:
    experiment = findings.source.experiment
    outcome = experiment.outcome if experiment else "returned"
    units = {"profit": "profit per customer", "roi": "gain per money spent"}
    return units.get(findings.objective, f"share with outcome {outcome}")


def _amount(value: float, findings: Findings) -> str:
    return f"{value:.4f}" if findings.objective == "returns" else f"{value:,.2f}"
