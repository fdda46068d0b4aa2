"""Stage report: everything that was found, on one page that opens anywhere, and in a few lines.

Each chapter reads the files of one stage; a chapter without files is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ..models.comparison import EVIDENCE
from . import charts
from .grading import chosen_objective
from .page import Block, Chapter, Tile, picture, render, table, text
from .params import Params, Report
from .parts import read_dictionary, why_skipped
from .progress import say, step
from .sources import Source
from .store import replace_file, verify
from .summary import Findings, headline, sent, summary

MODELS = {
    "churn": "this model (LightGBM, calibrated)",
    "rfm_logistic": "logistic regression on recency, frequency, money",
    "alert_rule": "alert: silent for longer than her habit",
}
METRICS = {
    "auc": ".3f",
    "pr_auc": ".3f",
    "log_loss": ".4f",
    "brier": ".4f",
    "ece": ".4f",
    "lift_10": ".2f",
    "emp": ".3f",
}
SLICE_METRICS = ("base_rate", "auc", "log_loss", "ece", "lift_10")
OBJECTIVES = {
    "profit": "expected profit per customer",
    "returns": "share that returns",
    "roi": "gain per unit of money spent",
}
BENCHMARKS = pd.DataFrame(
    [
        ("selling to an active customer", "60-70%"),
        ("selling to a lost customer", "20-40%"),
        ("selling to a new customer", "5-20%"),
        ("winning a new customer, against keeping one", "about 4.8 times the cost"),
    ],
    columns=["what", "rule of thumb in the field"],
)


@dataclass(frozen=True)
class Inputs:
    """Where the stages left what the report shows."""

    tables: Path
    features: Path
    churn: Path
    winback: Path
    metrics: Path
    policies: Path
    plots: Path
    recommendations: Path


def report(source: Source, params: Params, inputs: Inputs, *, out: Path, summary_out: Path) -> None:
    """Write the page and the summary."""
    found = _findings(source, inputs, params.recommend.objective, params.evaluate.level)
    with step("report"):
        chapters = [
            Chapter(name, title, blocks)
            for name, title, blocks in _chapters(source, params.report, inputs, found)
            if blocks
        ]
        page = render(
            title=source.title,
            subtitle=f"winback, as of {found.as_of:%Y-%m-%d}",
            tiles=[Tile(figure, meaning) for figure, meaning in headline(found)],
            chapters=chapters,
        )
        replace_file(out, page.encode())
        replace_file(summary_out, summary(found, report=out).encode())
    for part in found.skipped.values():
        say(f"left out of the report: {part}")


def _findings(source: Source, inputs: Inputs, objective: str | None, level: float) -> Findings:
    manifest = verify(inputs.features)
    skipped = dict(manifest["skipped"])
    decision: dict[str, Any] = {}
    if not why_skipped(inputs.winback, "winback"):
        decision = json.loads((inputs.winback / "decision.json").read_text())
    return Findings(
        source=source,
        as_of=pd.Timestamp(manifest["as_of"]),
        metrics=json.loads(inputs.metrics.read_text()),
        policies=pd.DataFrame(json.loads(inputs.policies.read_text())),
        decision=decision,
        recommendations=pd.read_parquet(inputs.recommendations),
        skipped=skipped,
        objective=chosen_objective(source, objective, decision),
        level=level,
    )


def _chapters(
    source: Source, params: Report, inputs: Inputs, found: Findings
) -> Iterator[tuple[str, str, list[Block]]]:
    yield "campaign", "The campaign", list(_campaign(params, found))
    if len(found.policies):
        yield "policies", "Which policy earns most", list(_policies(found))
        yield "experiment", "What the experiment says", list(_experiment(source, inputs))
        yield "return", "Who comes back", list(_return(inputs, found))
    if "churn" in found.metrics:
        yield "churn", "Who is about to leave", list(_churn(inputs))
        yield "definition", "When a customer counts as lost", list(_definition(inputs))
    yield "data", "The data", list(_data(inputs))


def _campaign(params: Report, found: Findings) -> Iterator[Block]:
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


def _policies(found: Findings) -> Iterator[Block]:
    yield text(
        "Each policy is valued on customers of the experiment that no model has seen (doubly "
        f"robust, {found.level:.0%} intervals), before budget and rules of practice. The gain over "
        "the best single offer is paired, customer by customer; an interval that contains zero is "
        "within noise. Personal offers are sent where they beat the best single one by more than "
        f"{EVIDENCE:.2f} standard errors on the training part, out of fold."
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
        return "personal offers did not beat it out of fold, so it goes to everybody"
    if ours["gain_lo"] <= 0 <= ours["gain_hi"]:
        return "personal offers are sent; on held-out customers their gain is within noise"
    return "personal offers are sent, and gain on held-out customers beyond noise"


def _experiment(source: Source, inputs: Inputs) -> Iterator[Block]:
    folder = inputs.winback / "readout"
    facts = json.loads((folder / "readout.json").read_text())
    yield text(
        f"{facts['rows']:,} customers. The sizes of the arms agree with the plan "
        f"(sample ratio p = {facts['sample_ratio_p_value']:.2f})."
    )
    levels = pd.read_csv(folder / "levels.csv")
    effects = pd.read_csv(folder / "effects.csv")
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


def _return(inputs: Inputs, found: Findings) -> Iterator[Block]:
    reliability = pd.read_csv(inputs.plots / "return_reliability.csv")
    yield picture(
        charts.reliability(reliability, by="offer", unit="share returned"),
        "Predicted against observed return on held-out customers, by the offer they got; on the "
        "dotted line the model keeps its word.",
    )
    grades = pd.DataFrame(found.metrics["winback"]).T.rename_axis("offer").reset_index()
    yield table(
        grades,
        title="Return probability on held-out customers",
        formats={"rows": ",.0f", "base_rate": ".3f", "auc": ".3f", "log_loss": ".4f", "ece": ".4f"},
    )
    curve = pd.read_csv(inputs.plots / "budget_curve.csv")
    yield picture(
        charts.curves(
            curve,
            x="budget",
            y="gain",
            by="policy",
            x_unit="spend per customer",
            y_unit="gain per customer",
        ),
        "What a budget buys: gain over sending nothing, on held-out customers "
        "(multi-armed Qini curve with costs).",
    )


def _churn(inputs: Inputs) -> Iterator[Block]:
    metrics = pd.read_csv(inputs.churn / "metrics.csv")
    whole = metrics[metrics["slice"] == "all"]
    wide = whole.pivot_table(index="model", columns="metric", values="value", sort=False)
    shown = wide[[name for name in METRICS if name in wide.columns]].reset_index()
    shown["model"] = shown["model"].map(lambda name: MODELS.get(name, name))
    parts = pd.read_csv(inputs.churn / "parts.csv")
    test = parts.set_index("part").loc["test"]
    yield text(
        f"Graded on {test['rows']:,.0f} later rows of {test['customers']:,.0f} customers, of whom "
        f"{test['churn_rate']:.1%} left within the horizon."
    )
    yield table(shown, formats=METRICS, mark=MODELS["churn"])
    yield picture(
        charts.reliability(
            pd.read_csv(inputs.plots / "churn_reliability.csv"), by=None, unit="churn"
        ),
        "Predicted against observed churn; on the dotted line the model keeps its word.",
    )
    slices = metrics[(metrics["model"] == "churn") & (metrics["slice"] != "all")]
    by_slice = slices.pivot_table(
        index=["slice", "level", "rows"], columns="metric", values="value", sort=False
    ).reset_index()
    if len(by_slice):
        kept = ["slice", "level", "rows", *(n for n in SLICE_METRICS if n in by_slice.columns)]
        yield table(
            by_slice[kept],
            title="The same by slice",
            formats=METRICS | {"rows": ",.0f", "base_rate": ".1%"},
            folded=True,
        )
    drivers = pd.read_csv(inputs.churn / "importance.csv").head(12)
    yield picture(
        charts.bars(
            list(drivers["feature"]),
            list(drivers["importance"]),
            unit="mean absolute share in the probability",
        ),
        "What moves the probability most.",
    )
    yield table(
        parts, title="Consecutive parts in time", formats={"churn_rate": ".2%"}, folded=True
    )


def _definition(inputs: Inputs) -> Iterator[Block]:
    yield text(
        "Churn depends on when one calls a customer lost. The same period under the definition "
        "used (first row) and those beside it:"
    )
    rows = pd.read_parquet(inputs.features / "sensitivity.parquet").drop(columns="definition")
    kept = [name for name in rows.columns if name == "kind" or rows[name].nunique() > 1]
    always = ["customers_at_start", "lost", "churn_rate", "money_lost"]
    columns = [*(name for name in kept if name not in always), *always]
    yield table(
        rows[columns],
        formats={
            "customers_at_start": ",.0f",
            "lost": ",.0f",
            "churn_rate": ".1%",
            "money_lost": ",.0f",
        },
    )


def _data(inputs: Inputs) -> Iterator[Block]:
    files = verify(inputs.tables)["files"]
    rows = pd.DataFrame(
        [(name.removesuffix(".parquet"), facts["rows"]) for name, facts in files.items()],
        columns=["table", "rows"],
    )
    yield table(rows, formats={"rows": ",.0f"})
    yield table(BENCHMARKS, title="Rules of thumb to hold the results against")
    entries = pd.DataFrame(read_dictionary(inputs.features))
    yield table(entries, title=f"The {len(entries)} features and what they mean", folded=True)
