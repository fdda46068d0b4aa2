"""Chapters of the report on the models: who comes back and what that is worth, who leaves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...models.decision.strategy import departure_class
from ...models.evaluation.budget import PERSONAL
from ...models.evaluation.probability import RetentionProfit
from ..storage.atomic import verify
from ..storage.stage_outputs import read_meanings
from ..tables.safe_csv import read_table
from . import charts
from .html import Block, picture, table, text
from .listed import REASON
from .phrasing import raising
from .summary import Findings, Inputs

MODELS = {
    "churn": "this model",
    "rfm_logistic": "logistic on R, F, M",
    "alert_rule": "alert rule",
}
METRICS = {
    "auc": ("AUC", ".3f"),
    "pr_auc": ("PR-AUC", ".3f"),
    "log_loss": ("log loss", ".4f"),
    "brier": ("Brier score", ".4f"),
    "ece": ("calibration error", ".4f"),
    "lift_10": ("lift in the top tenth", ".2f"),
    "emp": ("expected maximum profit", ".3f"),
}
SLICE_METRICS = {
    "rows": ",.0f",
    "base_rate": ".1%",
    "auc": ".3f",
    "log_loss": ".4f",
    "ece": ".4f",
    "lift_10": ".2f",
}
GRADES = {
    "rows": "customers",
    "base_rate": "returned",
    "auc": "AUC",
    "log_loss": "log loss",
    "ece": "calibration error",
}
SHOWN_DRIVERS = 12


def comeback(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """Who returns, what drives that, what a return is worth, what a budget buys."""
    yield picture(
        charts.reliability(
            read_table(inputs.plots / "return_reliability.csv"),
            by="offer",
            unit="share returned",
            percent=True,
        ),
        _kept_word(
            read_table(inputs.plots / "return_reliability.csv"), "Predicted chances to return"
        ),
        "Held-out customers in tenths by prediction, by the offer they got; on the dotted line the "
        "model keeps its word.",
    )
    grades = pd.DataFrame(findings.metrics["winback"]).T.rename_axis("offer").reset_index()
    grades = grades[["offer", *GRADES]].rename(columns=GRADES)
    yield table(
        grades,
        title="Return probability on held-out customers, in figures",
        formats={
            "customers": ",.0f",
            "returned": ".1%",
            "AUC": ".3f",
            "log loss": ".4f",
            "calibration error": ".4f",
        },
        folded=True,
    )
    yield from _never_offered(inputs, findings)
    yield from _return_drivers(inputs, findings)
    yield from _reasons(findings)
    if (inputs.plots / "value_reliability.csv").exists():
        yield picture(
            charts.reliability(
                read_table(inputs.plots / "value_reliability.csv"), by="offer", unit="value"
            ),
            _kept_word(
                read_table(inputs.plots / "value_reliability.csv"), "Predicted worth of a return"
            ),
            "Held-out customers who came back, in tenths by prediction, by the offer they got.",
        )
    yield picture(
        charts.curves(
            read_table(inputs.plots / "budget_curve.csv"),
            x="budget",
            y="gain",
            by="policy",
            x_unit="spend per customer",
            y_unit="gain per customer",
        ),
        _budget_says(read_table(inputs.plots / "budget_curve.csv")),
        "Gain over sending nothing, on held-out customers (multi-armed Qini curve with costs).",
    )


def _budget_says(curve: pd.DataFrame) -> str:
    """How much of the whole gain half of the money buys."""
    personal = curve[curve["policy"] == PERSONAL]
    whole = float(personal["gain"].max())
    if whole <= 0:
        return "No budget buys a gain here"
    half = np.interp(personal["budget"].max() / 2, personal["budget"], personal["gain"])
    if half <= whole / 2:
        return "Whom the money is spent on first makes no difference here"
    return f"Half of the money buys {half / whole:.0%} of the gain, if spent where it helps most"


def _kept_word(table: pd.DataFrame, what: str) -> str:
    """Whether predictions agree with what happened, by the rows whose interval holds them."""
    inside = (table["lo"] <= table["predicted"]) & (table["predicted"] <= table["hi"])
    return f"{what} within the noise of what happened in {inside.sum()} of {len(table)} groups"


def _never_offered(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """Leavers in no experiment: what the model promised of them, and what they did."""
    if "leavers" not in findings.metrics:
        return
    grades = findings.metrics["leavers"]
    promised, came = grades["predicted"], grades["base_rate"]
    near = abs(promised - came) <= max(0.01, 0.1 * came)
    yield text(
        f"{grades['rows']:,.0f} customers left after the last offer of the experiment and were "
        f"never made one. Without an offer the model expects {promised:.1%} of them back within "
        f"the return window, and {came:.1%} came (AUC {grades['auc']:.3f}). "
        + (
            "Its chances hold for them too. "
            if near
            else "So among them its chances without an offer rank customers and are no shares: "
            "whoever was chosen for the experiment was likelier to return. "
        )
        + "What offers do to them nobody has tried: their uplift is carried over from the "
        "experiment."
    )
    yield picture(
        charts.reliability(
            read_table(inputs.plots / "leavers_reliability.csv"),
            by=None,
            unit="share returned",
            percent=True,
        ),
        _kept_word(
            read_table(inputs.plots / "leavers_reliability.csv"),
            "Leavers in no experiment: predicted return without an offer",
        ),
    )


def _return_drivers(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    drivers = read_table(inputs.winback / "importance.csv")
    own = f"return_probability_{findings.decision['control']}"
    alone = drivers[drivers["output"] == own]
    yield picture(
        charts.bars(*_named(alone, inputs), unit="mean absolute share in the probability"),
        "What drives a return without an offer",
        "Each bar names the side of a feature that raises the chance.",
    )
    families = read_table(inputs.winback / "families.csv")
    families = families[families["output"] != own]
    yield picture(
        charts.dots(
            families.assign(offer=families["output"].str.removeprefix("uplift_")),
            label="family",
            value="importance",
            by="offer",
            unit="mean absolute share in the uplift",
        ),
        "What makes an offer work better with one customer than with another",
        "How far each family of features, taken together, moves the effect of each offer.",
    )
    words = {1: "larger raises", -1: "larger lowers", 0: "it depends"}
    shown = drivers[drivers["importance"] > 0].groupby("output", sort=False).head(SHOWN_DRIVERS)
    yield table(
        shown.assign(direction=shown["direction"].map(words)),
        title="The same in figures",
        formats={"importance": ".4f"},
        folded=True,
    )


def _named(drivers: pd.DataFrame, inputs: Inputs) -> tuple[list[str], list[float]]:
    """Words and magnitudes of the strongest drivers that do anything."""
    first = drivers[drivers["importance"] > 0].head(SHOWN_DRIVERS)
    return raising(first, read_meanings(inputs.features)), list(first["importance"])


def _reasons(findings: Findings) -> Iterator[Block]:
    """Today's lost customers by the reason that they gave."""
    cells = findings.listed.cells
    uplifts = [f"uplift_{name}" for name in findings.decision["offers"]]
    own = f"return_probability_{findings.decision['control']}"
    if REASON not in cells or uplifts[0] not in cells:
        return
    lost = cells[cells["population"] == "lost"]
    if lost.empty:
        return
    names = {own: "returns alone"} | {name: name.replace("_", " ") for name in uplifts}
    reasons = lost[REASON].astype("object").fillna("not stated").rename("reason")
    sums = lost.groupby(reasons)[["customers", "answered", *names]].sum()
    means = sums[list(names)].div(sums["answered"], axis=0).rename(columns=names)
    means.insert(0, "customers", sums["customers"])
    means = means.sort_values("customers", ascending=False, kind="stable").reset_index()
    means.insert(1, "class", departure_class(means["reason"]))
    yield table(
        means,
        title="Why today's lost customers left, in the classes of Stauss and Friege, and what the "
        "model expects of them on average",
        folded=True,
        formats=dict.fromkeys(means.columns, ".3f") | {"customers": ",.0f"},
    )


def churn(inputs: Inputs) -> Iterator[Block]:
    """How good the churn model is, whom to contact, how it ages, what moves it."""
    metrics = read_table(inputs.churn / "metrics.csv")
    parts = read_table(inputs.churn / "parts.csv")
    test, train = parts.set_index("part").loc["test"], parts.set_index("part").loc["train"]
    later = "later " if test["first"] > train["last"] else ""
    yield text(
        f"Graded on {test['rows']:,.0f} {later}rows of {test['customers']:,.0f} customers, of whom "
        f"{test['churn_rate']:.1%} left within the horizon. Beside this model: a logistic "
        "regression on recency, frequency and money, and an alert for whoever is silent for longer "
        "than usual. In brackets 95% intervals, of whole customers drawn again."
    )
    yield from _profit_by_cutoff(inputs)
    yield picture(
        charts.reliability(
            read_table(inputs.plots / "churn_reliability.csv"),
            by=None,
            unit="churn",
            percent=True,
        ),
        _kept_word(read_table(inputs.plots / "churn_reliability.csv"), "Predicted churn"),
        "Held-out customers in tenths by prediction; on the dotted line the model keeps its word.",
    )
    yield picture(
        charts.bars(
            *_named(read_table(inputs.churn / "importance.csv"), inputs),
            unit="mean absolute share in the probability",
        ),
        "What moves the risk to leave most",
        "Each bar names the side of a feature that raises the risk.",
    )
    yield table(
        _grades(metrics[metrics["slice"] == "all"]), title="All grades, in figures", folded=True
    )
    if (inputs.churn / "staleness.csv").exists():
        yield from _ageing(read_table(inputs.churn / "staleness.csv"))
    by_slice = metrics[(metrics["model"] == "churn") & (metrics["slice"] != "all")].pivot_table(
        index=["slice", "level", "rows"], columns="metric", values="value", sort=False
    )
    if len(by_slice):
        shown = by_slice.reset_index()
        yield table(
            shown[["slice", "level", *(name for name in SLICE_METRICS if name in shown)]],
            title="The same by slice",
            formats=SLICE_METRICS,
            folded=True,
        )
    yield table(
        parts,
        title=f"The parts: {verify(inputs.churn)['split']}",
        formats={"rows": ",.0f", "customers": ",.0f", "churn_rate": ".2%"},
        folded=True,
    )


def _profit_by_cutoff(inputs: Inputs) -> Iterator[Block]:
    """What contacting ever more customers earns, from the highest risk on."""
    cutoffs = read_table(inputs.churn / "cutoffs.csv")
    best = float(cutoffs.set_index("model")["share"].loc["churn"])
    bins = read_table(inputs.plots / "churn_reliability.csv").sort_values(
        "predicted", ascending=False
    )
    earned = RetentionProfit().of_contact(bins["observed"]) * bins["rows"]
    shares = np.append(0.0, bins["rows"].cumsum() / bins["rows"].sum())
    profit = np.append(0.0, earned.cumsum() / bins["rows"].sum())
    yield picture(
        charts.line(
            shares.tolist(),
            profit.tolist(),
            x_unit="share of customers contacted, the likeliest to leave first",
            y_unit="profit per customer",
        ),
        "At the costs supposed below it would pay to contact "
        + (
            f"the {best:.1%} likeliest to leave, not everybody"
            if 0 < best < 1
            else ("nobody" if best == 0 else "everybody")
        ),
        _best_cutoff(cutoffs),
    )


def _grades(whole: pd.DataFrame) -> pd.DataFrame:
    """One row per metric, one column per model, values with their intervals."""
    rows = []
    for metric, (name, spec) in METRICS.items():
        row = {"measure": name}
        for model, words in MODELS.items():
            grades = whole[(whole["metric"] == metric) & (whole["model"] == model)]
            for grade in grades.to_dict("records"):
                between = f" ({grade['lo']:{spec}} to {grade['hi']:{spec}})"
                row[words] = f"{grade['value']:{spec}}" + (
                    between if grade["lo"] == grade["lo"] else ""
                )
        rows.append(row)
    return pd.DataFrame(rows)


def _best_cutoff(cutoffs: pd.DataFrame) -> str:
    ours = cutoffs.set_index("model").loc["churn"]
    costs = RetentionProfit()
    economics = (
        f"Suppose that a customer kept is worth {costs.value:g}, the incentive costs "
        f"{costs.incentive_cost:g} and a contact {costs.contact_cost:g}, and that "
        f"{costs.alpha / (costs.alpha + costs.beta):.0%} of the leavers accept: "
    )
    if ours["share"] == 0:
        return economics + "then it pays to contact nobody."
    others = cutoffs[cutoffs["model"] != "churn"]
    best = f", the better baseline {others['profit'].max():.2f}" if len(others) else ""
    return (
        f"{economics}then it pays most to contact the {ours['share']:.1%} with a probability from "
        f"{ours['threshold']:.3f} on, which earns {ours['profit']:.2f} per customer{best}."
    )


def _ageing(aged: pd.DataFrame) -> Iterator[Block]:
    """AUC of models trained longer and longer ago on the same later customers."""
    if len(aged) < 2:
        return
    yield table(
        pd.DataFrame(
            {
                "trained until": aged["trained_until"].str[:10],
                "months older": aged["months_older"],
                "AUC": [
                    f"{row['auc']:.3f} ({row['lo']:.3f} to {row['hi']:.3f})"
                    for row in aged.to_dict("records")
                ],
                "less the freshest": [
                    f"{row['gain']:+.3f} ({row['gain_lo']:+.3f} to {row['gain_hi']:+.3f})"
                    if row["gain"]
                    else ""
                    for row in aged.to_dict("records")
                ],
            }
        ),
        title="How fast it ages: smaller models, each trained on as many dates, asked about the "
        "same later customers",
        formats={"months older": "g"},
        folded=True,
    )
