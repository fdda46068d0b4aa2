"""The results that the report reads, and the summary that a run prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..settings.sources import Source
from ..tables.list_rows import GAIN, RISK, is_sent
from . import words
from .kept import Kept
from .listed import Listed


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

    `doubts` are what ingest found doubtful in the data, a sentence each. `listed` tells nothing of
    the offers that keep active customers, `kept` tells of those; None without an experiment among
    them.
    """

    source: Source
    as_of: pd.Timestamp
    metrics: Mapping[str, Any]
    policies: pd.DataFrame
    decision: Mapping[str, Any]
    listed: Listed
    skipped: Mapping[str, str]
    objective: str
    level: float
    doubts: tuple[str, ...] = ()
    kept: Kept | None = None


def summary(findings: Findings, *, report: Path) -> str:
    """The same for a terminal, with the path of the report."""
    lines = ["", f"{findings.source.title}, as of {findings.as_of:%Y-%m-%d}", ""]
    lines += [f"  {words}" for words in _lines(findings)]
    lines += ["", f"  report    {report}", ""]
    return "\n".join(lines)


def _lines(findings: Findings) -> Iterator[str]:
    cells = findings.listed.cells
    for part, why in findings.skipped.items():
        yield f"{part:<10}left out: {why}"
    if RISK in cells:
        model = findings.metrics["churn"]["churn"]
        yield (
            f"active    {_customers(cells['at_risk'].sum())}, {cells[RISK].sum():,.0f} expected to "
            f"leave (AUC {model['auc']:.3f}, lift in the top tenth {model['lift_10']:.2f})"
        )
    if findings.kept is not None:
        yield from _kept(findings, findings.kept)
    if not findings.decision:
        return
    decided = decided_for(findings)
    offers = sent(findings)
    candidates = cells.loc[cells["recommended_offer"].notna(), "customers"].sum()
    who = "lost" if RISK in cells else "asked"
    yield (
        f"{who:<10}{_customers(candidates)}, {offers['customers'].sum():,} of them to be sent an "
        "offer"
    )
    for name, rows in offers.groupby("recommended_offer"):
        gain = rows[GAIN].sum()
        worth = f", expected gain {gain:,.0f}" if gain == gain and gain != 0 else ""
        count = rows["customers"].sum()
        yield f"          {name:<14}{count:>8,} {words.customers(count)}{worth}"
    ours = ours_of(findings)
    yield (
        f"policy    {_unit(findings)} {_amount(ours['value_per_customer'], findings)} "
        f"[{_amount(ours['lo'], findings)}, {_amount(ours['hi'], findings)}] on {ours['n']:,.0f} "
        "held-out customers"
    )
    if not decided["personalize"] and decided["best_single"] == findings.decision["control"]:
        yield "          no offer is expected to gain, so nobody is sent one"
        return
    gain, low, high, more = words.more_or_less(
        ours["gain_over_best_single"], ours["gain_lo"], ours["gain_hi"]
    )
    yield (
        f"          {_amount(gain, findings)} [{_amount(low, findings)}, "
        f"{_amount(high, findings)}] {more} than {words.policy_name(ours['over'])}"
        + ("" if decided["personalize"] else ", which is what is sent under the rules")
    )


def _kept(findings: Findings, kept: Kept) -> Iterator[str]:
    """How many active customers are to be sent an offer, and what choosing by uplift gains."""
    control = findings.source.retention.control if findings.source.retention else ""
    offered = kept.cells.loc[is_sent(kept.cells, control), "customers"].sum()
    figures = findings.metrics["retention"]["policy"][findings.objective]
    lead, low, high = (
        _amount(figures[f"uplift_over_risk{end}"], findings) for end in ("", "_lo", "_hi")
    )
    yield (
        f"keep      {offered:,} of them to be sent an offer; chosen by uplift, "
        f"not by risk: {lead} [{low}, {high}] per held-out customer"
    )


def decided_for(findings: Findings) -> Mapping[str, Any]:
    """The decision of the training for the objective of the campaign."""
    decided: Mapping[str, Any] = findings.decision["by_objective"][findings.objective]
    return decided


def sent(findings: Findings) -> pd.DataFrame:
    """Cells of the customers who are to be sent an offer."""
    cells = findings.listed.cells
    return cells[is_sent(cells, findings.decision["control"])] if findings.decision else cells[:0]


def ours_of(findings: Findings) -> dict[str, Any]:
    """The grades of our policy for the objective of the campaign."""
    rows = findings.policies
    ours = rows[(rows["objective"] == findings.objective) & (rows["policy"] == "ours")]
    return {str(name): value for name, value in ours.to_dict("records")[0].items()}


def _customers(count: float) -> str:
    return f"{count:,} {words.customers(count)}"


def _unit(findings: Findings) -> str:
    experiment = findings.source.experiment
    outcome = experiment.outcome if experiment else "returned"
    units = {"profit": "profit per customer", "roi": "gain per money spent"}
    return units.get(findings.objective, f"share with outcome {outcome}")


def _amount(value: float, findings: Findings) -> str:
    return f"{value:.4f}" if findings.objective == "returns" else f"{value:,.2f}"
