"""Chapter of the report on the experiment: what each offer brought, for whom, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ...models.evaluation.effect_groups import (
    effects_by_group,
    effects_by_predicted,
    lowest_and_highest,
)
from ...models.evaluation.survival import MONTH_DAYS, Survival, survival
from ...models.intervals import leads
from ..settings.objectives import graded
from ..settings.sources import Source
from ..tables.safe_csv import read_table
from . import charts, words
from .html import Block, picture, table, text
from .summary import Findings, Inputs

REASON = "departure_reason"
SHOWN_GROUPS = 8
FEWEST_BACK = 30


def experiment(source: Source, inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """What the offers brought, by themselves and in groups of customers."""
    folder = inputs.winback / "readout"
    facts = json.loads((folder / "readout.json").read_text())
    levels = read_table(folder / "levels.csv")
    effects = read_table(folder / "effects.csv")
    outcome = source.experiment.outcome if source.experiment else "returned"
    yield picture(
        charts.arms(levels, unit=f"{outcome}, share"),
        _headline(levels, facts["control"]),
    )
    yield text(
        f"{facts['rows']:,} customers got an offer, or none, by chance. The sizes of the arms "
        f"agree with the plan (p = {words.p_value(facts['sample_ratio_p_value'])}). "
        + _power(read_table(folder / "power.csv"))
    )
    yield from _groups(source, inputs, findings)
    yield from _qini(inputs)
    yield from _second_lifetimes(source, inputs)
    yield from _figures(levels, effects, facts["control"])
    for note in facts["notes"]:
        yield text(f"Note: {note}.")
    orders = inputs.tables / "orders.parquet"
    if orders.exists() and "margin" not in pq.read_schema(orders).names:
        yield text("Note: orders tell no margin, so value and profit here are revenue.")


def _headline(levels: pd.DataFrame, control: str) -> str:
    """Which arm brought most returns, and which most profit where it is known."""
    rates = levels[levels["outcome"] == "returned"].set_index("arm")
    most = str(rates["estimate"].drop(control).idxmax())
    headline = f"{words.plain(most)} brought most customers back{_noise(rates, most)}"
    profit = levels[levels["outcome"] == "profit"].set_index("arm")
    if len(profit):
        earned = str(profit["estimate"].idxmax())
        who = " and" if earned == most else f", {words.plain(earned)}"
        headline += f"{who} earned most{_noise(profit, earned)}"
    return headline[0].upper() + headline[1:]


def _noise(table: pd.DataFrame, name: str) -> str:
    place = list(table.index).index(name)
    lead = leads(table["estimate"].to_numpy(), table["se"].to_numpy(), place)
    return "" if lead else " (within noise)"


def _groups(source: Source, inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """Effects on held-out customers by stated reason and by predicted effect."""
    if source.experiment is None:
        return
    rows = pd.read_parquet(inputs.winback / "held_out.parquet")
    judged = graded(rows, rows, source.experiment, "returns")
    if REASON in rows.columns:
        reasons = rows[REASON].astype("object").fillna("not stated")
        by_reason = effects_by_group(judged, reasons, level=findings.level)
        shown = by_reason[by_reason["group"].isin(by_reason["group"].unique()[:SHOWN_GROUPS])]
        if shown["group"].nunique() > 1:
            yield picture(
                charts.heatmap(shown, rows="group", columns="offer", value="effect", spec="+.0%"),
                "What each offer changes, by why the customer left",
                f"Effect on the share that returns, with {findings.level:.0%} intervals, by stated "
                "reason, on held-out customers.",
            )
            yield table(
                shown.rename(columns={"group": "stated reason", "lo": "low", "hi": "high"}),
                title="Effects by stated reason, in figures",
                formats={"rows": ",.0f", "effect": "+.1%", "low": "+.1%", "high": "+.1%"},
                folded=True,
            )
    predicted = rows[[f"uplift_{name}" for name in judged.names[1:]]]
    fifths = effects_by_predicted(judged, predicted, level=findings.level)
    first, last, told = lowest_and_highest(fifths)
    yield picture(
        charts.reliability(fifths, by="offer", unit="effect on the return", percent=True),
        f"The model finds whom an offer moves: {first:+.0%} in the lowest fifth, {last:+.0%} in "
        "the highest"
        if told
        else "Whom an offer moves more is within noise",
        "Held-out customers in fifths by predicted effect, against the observed effect; on "
        "the dotted line the model keeps its word.",
    )


def _qini(inputs: Inputs) -> Iterator[Block]:
    """What each offer gains as more customers are asked."""
    curves = read_table(inputs.plots / "qini.csv")
    ends = curves[curves["share"] == 1.0].set_index("offer")["gain"]
    half = curves[np.isclose(curves["share"], 0.5)].set_index("offer")["gain"]
    best = str(ends.idxmax())
    beyond = curves[np.isclose(curves["share"], 0.5)].set_index("offer")["lo"][best]
    yield picture(
        charts.curves(
            curves,
            x="share",
            y="gain",
            by="offer",
            x_unit="share of customers asked, the most moved first",
            y_unit="more returns, share of all",
            percent=True,
        ),
        f"Asking the right half with {words.plain(best)} brings {half[best] / ends[best]:.0%} of "
        "all the returns it can bring"
        if ends[best] > 0 and beyond > ends[best] / 2
        else "Which half is asked makes no difference beyond noise"
        if ends[best] > 0
        else "No offer brings more returns",
        "Qini curves on held-out customers; a straight line from corner to corner would be an "
        "order at random.",
    )


def _second_lifetimes(source: Source, inputs: Inputs) -> Iterator[Block]:
    """How long those who came back stayed, by offer."""
    if source.experiment is None:
        return
    columns = ["offer", "returned", "second_days", "second_ended"]
    rows = pd.read_parquet(inputs.features / "winback.parquet", columns=columns)
    back = rows[(rows["returned"] == 1) & rows["second_days"].notna()].dropna()
    limit = source.experiment.value_horizon_days
    curves, means = [], {}
    for name in source.experiment.offer_names:
        returners = back[back["offer"] == name]
        if len(returners) < FEWEST_BACK:
            continue
        stay = survival(
            returners["second_days"].to_numpy(),
            returners["second_ended"].to_numpy(),
            limit_days=limit,
        )
        curves.append(stay.curve.assign(offer=name))
        means[name] = stay
    if not curves:
        return
    yield picture(
        charts.steps(
            pd.concat(curves, ignore_index=True),
            x="months",
            y="staying",
            by="offer",
            x_unit="months since the return",
            y_unit="still customers",
        ),
        _stayed(means, limit / MONTH_DAYS),
        "Kaplan-Meier curves of the second relation, by offer. Whoever returns with an offer is "
        "another kind of customer than who returns without, so this is no effect of the offer.",
    )
    yield table(
        pd.DataFrame(
            [
                (words.plain(name), stay.customers, stay.mean_months, 1.96 * stay.se)
                for name, stay in means.items()
            ],
            columns=["offer", "customers", "months", "give or take"],
        ),
        title="Months of the second relation, in figures",
        formats={"customers": ",.0f", "months": ".1f", "give or take": ".1f"},
        folded=True,
    )


def _stayed(means: Mapping[str, Survival], months: float) -> str:
    """With which offer those who came back stayed longest, if that is beyond noise."""
    names, stays = list(means), list(means.values())
    months_of = np.array([stay.mean_months for stay in stays])
    longest = names[int(months_of.argmax())]
    if not leads(months_of, np.array([stay.se for stay in stays]), names.index(longest)):
        return "How long those who came back stayed differs by no more than noise between offers"
    return (
        f"Those who came back with {words.plain(longest)} stayed longest: "
        f"{means[longest].mean_months:.1f} of {months:.0f} months"
    )


def _figures(levels: pd.DataFrame, effects: pd.DataFrame, control: str) -> Iterator[Block]:
    wide = levels.pivot_table(index=["arm", "rows"], columns="outcome", values="estimate")
    wide = wide[[name for name in levels["outcome"].unique() if name in wide.columns]]
    yield table(
        wide.reset_index(),
        title="Mean per customer in each arm, in figures",
        formats={"rows": ",.0f", "returned": ".1%"},
        folded=True,
    )
    names = {"lo": "low", "hi": "high", "p_value": "p", "p_holm": "p, corrected"}
    yield table(
        levels.drop(columns="se").rename(columns=names), title="With their intervals", folded=True
    )
    shown = effects.drop(columns="se").assign(
        p_value=effects["p_value"].map(words.p_value), p_holm=effects["p_holm"].map(words.p_value)
    )
    yield table(
        shown.rename(columns=names),
        title=f"Effect against {control}, corrected for several offers (Holm)",
        folded=True,
    )


def _power(power: pd.DataFrame) -> str:
    """How small an effect the experiment could have noticed, in every arm."""
    plain = power[(power["outcome"] == "returned") & ~power["adjusted"]]
    return (
        f"Its arms are large enough to notice, four times in five, an offer that changes the share "
        f"by {plain['smallest_detectable'].max():.3f}."
    )
