"""Chapters of the report on decisions: the campaign, the policies, the experiment behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ...models.evaluation.personal_gain import EVIDENCE
from ...models.intervals import detectable_difference
from ..settings.params import Report
from ..settings.sources import Source
from ..tables.safe_csv import read_table
from . import charts
from .html import Block, picture, table, text
from .summary import Findings, Inputs, sent

OBJECTIVES = {
    "profit": "expected profit per customer",
    "returns": "share that returns",
    "roi": "gain per unit of money spent",
}


def campaign(params: Report, found: Findings) -> Iterator[Block]:
    """What to send to whom."""
    customers = found.recommendations
    for part, why in found.skipped.items():
        words = {"churn": "No churn model", "winback": "No win-back offers"}[part]
        yield text(f"{words}: {why}.")
    offered = sent(found)
    if len(offered):
        held = int(customers["holdout"].sum())
        yield text(
            f"What to send to whom, by {found.objective}, under the rules of params.yaml. "
            f"{held:,} more customers are held out at random and get nothing, so that the next "
            "readout of this campaign is as honest as the experiment was."
        )
        by_offer = offered.groupby("recommended_offer", sort=False).agg(
            customers=("customer_id", "size"),
            expected_gain=("expected_incremental_profit", "sum"),
            gain_per_customer=("expected_incremental_profit", "mean"),
        )
        yield table(
            by_offer.sort_values("customers", ascending=False).reset_index(),
            formats={
                "customers": ",.0f",
                "expected_gain": ",.0f",
                "gain_per_customer": ",.2f",
            },
        )
        first = offered.sort_values(
            ["expected_incremental_profit", "customer_id"], ascending=[False, True]
        )
        yield table(
            first.head(params.rows)[
                [
                    "customer_id",
                    "recommended_offer",
                    "expected_incremental_profit",
                    "priority",
                    "strategy",
                    "reasons",
                ]
            ],
            title="First on the list",
            formats={"customer_id": "d", "expected_incremental_profit": ",.2f"},
        )
    counts = customers.groupby(["strategy", "priority"]).size().unstack(fill_value=0)
    yield table(
        counts.reset_index(),
        title="What to do with each customer: strategy (Buttle) by priority",
        formats=dict.fromkeys(counts.columns, ",.0f"),
    )
    if "churn_probability" in customers:
        risky = customers.dropna(subset=["churn_probability"]).sort_values(
            ["churn_probability", "customer_id"], ascending=[False, True]
        )
        yield table(
            risky.head(params.rows)[["customer_id", "churn_probability", "priority", "strategy"]],
            title="Most likely to leave",
            formats={"customer_id": "d", "churn_probability": ".1%"},
            folded=True,
        )


def policies(found: Findings) -> Iterator[Block]:
    """What each policy earns on customers that no model has seen."""
    yield text(
        "Each policy is valued on customers of the experiment that no model has seen (doubly "
        f"robust, {found.level:.0%} intervals), before budget and rules of practice. The gain over "
        "the best single offer is paired, customer by customer; an interval that contains zero is "
        "within noise. Personal offers are sent where they are expected to gain: what the models "
        "forecast and what out-of-fold rows say are weighed by their precision. The gain is called "
        f"evident beyond {EVIDENCE:.2f} standard errors of these rows."
    )
    for objective, rows in found.policies.groupby("objective", sort=False):
        decided = found.decision["by_objective"][objective]
        spec = ",.4f" if objective == "returns" else ",.2f"
        shown = rows.sort_values("value_per_customer", ascending=False)
        verdict = _verdict(rows[rows["policy"] == "ours"].to_dict("records")[0], decided)
        yield picture(
            charts.intervals(
                shown,
                label="policy",
                value="value_per_customer",
                lo="lo",
                hi="hi",
                unit=OBJECTIVES[str(objective)],
                mark="ours",
            ),
            f"By {objective}; best single offer {decided['best_single']}; {verdict}.",
        )
        yield table(
            shown.drop(columns="objective"),
            title=f"Figures by {objective}",
            formats=dict.fromkeys(shown.columns, spec) | {"n": ",.0f"},
            mark="ours",
            folded=True,
        )


def _verdict(ours: Mapping[Any, Any], decided: Mapping[str, Any]) -> str:
    if not decided["personalize"]:
        return "no gain of personal offers is expected, so it goes to everybody"
    if not decided.get("evidence", True):
        return "personal offers are sent, for a gain is expected; it is not evident out of fold"
    if ours["gain_lo"] <= 0 <= ours["gain_hi"]:
        return "personal offers are sent; on held-out customers their gain is within noise"
    return "personal offers are sent, and gain on held-out customers beyond noise"


def experiment(source: Source, inputs: Inputs) -> Iterator[Block]:
    """What the arms brought, by themselves."""
    folder = inputs.winback / "readout"
    facts = json.loads((folder / "readout.json").read_text())
    yield text(
        f"{facts['rows']:,} customers. The sizes of the arms agree with the plan "
        f"(sample ratio p = {facts['sample_ratio_p_value']:.2f})."
    )
    levels = read_table(folder / "levels.csv")
    effects = read_table(folder / "effects.csv")
    yield text(_power(levels[levels["outcome"] == "returned"], facts["control"]))
    outcome = source.experiment.outcome if source.experiment else "returned"
    rates = levels[levels["outcome"] == "returned"]
    yield picture(
        charts.intervals(
            rates, label="arm", value="estimate", lo="lo", hi="hi", unit=f"{outcome}, share"
        ),
        "What each arm of the experiment brought.",
    )
    wide = levels.pivot_table(index=["arm", "rows"], columns="outcome", values="estimate")
    wide = wide[[name for name in levels["outcome"].unique() if name in wide.columns]]
    yield table(wide.reset_index(), title="Mean per customer in each arm", formats={"rows": ",.0f"})
    yield table(levels.drop(columns="se"), title="With their intervals", folded=True)
    yield table(
        effects.drop(columns="se"),
        title=f"Effect against {facts['control']}, with Holm's correction over the arms",
        folded=True,
    )
    for note in facts["notes"]:
        yield text(f"Note: {note}.")
    orders = inputs.tables / "orders.parquet"
    if orders.exists() and "margin" not in pq.read_schema(orders).names:
        yield text("Note: orders tell no margin, so value and profit here are revenue.")


def _power(rates: pd.DataFrame, control: str) -> str:
    """How small an effect the experiment could have noticed."""
    alone = rates[rates["arm"] == control].iloc[0]
    arms = rates[rates["arm"] != control]
    least = arms.sort_values("rows", kind="stable").iloc[0]
    spread = float(
        np.sqrt((alone["se"] ** 2 * alone["rows"] + least["se"] ** 2 * least["rows"]) / 2)
    )
    noticed = detectable_difference(spread, int(least["rows"]), int(alone["rows"]))
    return (
        f"Its arms are large enough to notice, four times in five, an offer that changes the share "
        f"by {noticed:.3f}."
    )
