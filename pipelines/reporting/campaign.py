"""Chapters of the report on decisions: what to send to whom, and what each policy earns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...models.decision.policy_tree import groups
from ...models.evaluation.policies import TREAT_NONE, WITHIN_LIMITS
from ..settings.params import Report
from ..storage.policy_tree import read_policy_tree
from ..storage.stage_outputs import read_meanings
from ..tables.list_rows import GAIN, RISK
from . import charts, words
from .html import Block, picture, table, text
from .summary import Findings, Inputs, sent

OBJECTIVES = {
    "profit": "profit",
    "returns": "returns",
    "roi": "gain per unit of money spent",
}
FIGURES = {
    "value_per_customer": "value per customer",
    "lo": "low",
    "hi": "high",
    "gain_over_best_single": "gain over {over}",
    "gain_lo": "gain, low",
    "gain_hi": "gain, high",
    "sent": "share sent an offer",
    "n": "customers",
}
UNLIMITED = ", without limits"
NOT_KNOWN = "not known"
STRATEGIES = {  # what to do, by Buttle's strategy
    "start": "a new relation, welcome it",
    "protect": "valuable and at risk, talk first",
    "re-engineer": "valuable but costs more than it brings: serve it more cheaply",
    "enhance": "growing, sell more",
    "harvest": "steady or of little value, spend nothing extra",
    "win back": "lost and worth an offer",
    "end": "not worth money now, let go",
}


def campaign(params: Report, findings: Findings) -> Iterator[Block]:
    """What to send to whom, whom not and why."""
    listed = findings.listed
    for part, why in findings.skipped.items():
        subject = {
            "churn": "No churn model",
            "winback": "No win-back offers",
            "retention": "No offers to active customers",
        }[part]
        yield text(f"{subject}: {why}.")
    offered = sent(findings)
    if findings.decision:
        yield from _funnel(findings, offered)
    if len(offered):
        yield from _by_offer(findings, offered)
        yield _list(
            listed.gaining.head(params.rows),
            {
                "customer_id": "customer id",
                "recommended_offer": "offer",
                GAIN: "expected gain",
                "priority": "priority",
                "reasons": "why",
            },
            title="First on the list",
            formats={"expected gain": ",.2f"},
        )
    yield from _segments(listed.cells)
    if RISK in listed.cells:
        yield _list(
            listed.risky.head(params.rows)
            .dropna(subset=[RISK])
            .assign(strategy=lambda rows: rows["strategy"].map(_strategy)),
            {
                "customer_id": "customer id",
                RISK: "leaves",
                "priority": "priority",
                "strategy": "strategy",
                "reasons": "why",
            },
            title="Most likely to leave",
            formats={"leaves": ".1%"},
        )


def _funnel(findings: Findings, offered: pd.DataFrame) -> Iterator[Block]:
    """From everybody who was asked to whoever is sent an offer, and the rule that stopped each."""
    cells = findings.listed.cells
    candidates = cells[cells["recommended_offer"].notna()]
    if candidates.empty:
        return
    count, sending = candidates["customers"].sum(), offered["customers"].sum()
    rules = candidates[candidates["rule"] != ""].groupby("rule")["customers"].sum()
    rules = rules.sort_values(ascending=False, kind="stable")
    lines = {"asked": count} | {str(rule): stopped for rule, stopped in rules.items()}
    if held := candidates.loc[candidates["holdout"], "customers"].sum():
        lines["held out at random, to measure by"] = held
    lines["sent an offer"] = sending
    yield picture(
        charts.bars(
            list(lines), list(lines.values()), unit="customers", mark=("asked", "sent an offer")
        ),
        f"{sending:,} of {count:,} customers are sent an offer",
        "From everybody on top to whoever is sent an offer, and in between the first rule that "
        "stopped the others (limits in params.yaml, recommend).",
    )


def _by_offer(findings: Findings, offered: pd.DataFrame) -> Iterator[Block]:
    sums = offered.groupby("recommended_offer")[["customers", GAIN, "gain_known"]].sum()
    rows = pd.DataFrame(
        {
            "customers": sums["customers"],
            "expected_gain": sums[GAIN],
            "gain_per_customer": sums[GAIN] / sums["gain_known"],
        }
    )
    yield table(
        rows.sort_values("customers", ascending=False).rename_axis("offer").reset_index(),
        title="What is sent, in figures",
        folded=True,
        formats={"customers": ",.0f", "expected_gain": ",.0f", "gain_per_customer": ",.2f"},
    )
    effects, edges = findings.listed.effects, findings.listed.edges
    yield picture(
        charts.histogram(
            effects.rename(columns=lambda name: name.removeprefix("uplift_")),
            edges,
            unit="predicted effect on the return",
            percent=True,
        ),
        "Offers help some customers much more than others"
        + ("" if edges[0] >= 0 else ", and a few not at all")
        if (effects > 0).sum().max() > 1
        else "Each offer is expected to help everybody alike",
        "Predicted rise of the chance to return, for the customers on the list, by offer.",
    )


def _list(
    rows: pd.DataFrame, names: Mapping[str, str], *, title: str, formats: Mapping[str, str]
) -> Block:
    shown = rows[list(names)].rename(columns=dict(names))
    return table(shown, title=title, formats={"customer id": "d", **formats})


def _strategy(name: object) -> str:
    """A strategy and what it says to do."""
    return f"{name}: {STRATEGIES[name]}" if name in STRATEGIES else NOT_KNOWN


def _segments(cells: pd.DataFrame) -> Iterator[Block]:
    if cells["strategy"].isna().all():
        yield text(
            "What to do with each customer is not known: nothing tells what they are worth, or "
            "what an offer would do."
        )
        return
    told = cells.assign(strategy=cells["strategy"].fillna(NOT_KNOWN))
    counts = told.groupby(["strategy", "priority"])["customers"].sum().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    most = str(counts.index[0])
    meant = counts.index.map(_strategy)
    yield picture(
        charts.stacked(counts.set_index(meant), unit="customers, by priority A, B, C"),
        f"What to do with each customer: most often {most}",
    )
    yield table(
        counts.reset_index(),
        title="Strategy by priority, in figures",
        formats=dict.fromkeys(counts.columns, ",.0f"),
        folded=True,
    )
    yield text(
        "Priority is by the money at stake: A first, then B, then C. The strategies are those of "
        "Buttle's Customer Relationship Management."
    )


def policies(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """What each policy earns on customers whom the graded models have not seen."""
    yield text(
        "Each policy is valued on customers of the experiment whom the graded models have not seen "
        f"(doubly robust, {findings.level:.0%} intervals); ours as it is deployed, after rules and "
        "limits. Gains are paired, customer by customer; an interval that contains zero is within "
        "noise. Personal offers are sent where they are likely to gain, by out-of-fold rows. That "
        "gain is called evident where a one-sided test at 5% says so on all rows that the models "
        "learn from, each forecast without itself; these are more than the held-out ones below."
    )
    # The objective of the campaign comes first.
    graded = dict(list(findings.policies.groupby("objective", sort=False)))
    for objective in sorted(graded, key=lambda name: name != findings.objective):
        yield from _graded(findings, str(objective), graded[objective])
        if objective == findings.objective:
            yield from _three_questions(inputs, graded[objective], findings)


def _three_questions(inputs: Inputs, rows: pd.DataFrame, findings: Findings) -> Iterator[Block]:
    """The policy tree as sentences, and how far it falls behind the offer of each customer."""
    tree = read_policy_tree(inputs.winback)
    graded = rows.set_index("policy")["value_per_customer"]
    if tree is None or "policy_tree" not in graded:
        return
    ours, simple = (
        words.measured(float(graded[name]), findings.objective, findings.source)
        for name in ("ours", "policy_tree")
    )
    yield table(
        pd.DataFrame(groups(tree, read_meanings(inputs.features)), columns=["customers", "offer"]),
        title=f"A rule that fits on a card earns {simple}"
        + (f", our policy {ours}" if _keeps_to_limits(rows).all() else UNLIMITED),
    )
    yield text(
        "It is the best tree of three questions on the customers whom the graded models learned "
        "from; a number that is not known counts as small."
    )


def _graded(findings: Findings, objective: str, rows: pd.DataFrame) -> Iterator[Block]:
    decided = findings.decision["by_objective"][objective]
    keeps = _keeps_to_limits(rows)
    compared = rows[keeps]
    shown = rows.assign(
        policy=rows["policy"].map(words.policy_name) + np.where(keeps, "", UNLIMITED)
    ).sort_values("value_per_customer", ascending=False)
    ours = rows[rows["policy"] == "ours"].to_dict("records")[0]
    over = words.policy_name(ours["over"])
    yield picture(
        charts.policies(compared, unit=words.unit(objective, findings.source)),
        f"By {OBJECTIVES[objective]}: {_verdict(ours, decided)}",
    )
    yield picture(
        charts.intervals(
            shown[keeps[shown.index] & (shown["policy"] != over)],
            label="policy",
            value="gain_over_best_single",
            lo="gain_lo",
            hi="gain_hi",
            unit=f"gain over {over}",
            mark=words.policy_name("ours"),
            zero=True,
        ),
        f"The same as a gain over {over}, customer by customer",
    )
    named = {name: title.format(over=over) for name, title in FIGURES.items()}
    figures = shown[["policy", *named]].rename(columns=named)
    spec = ",.4f" if objective == "returns" else ",.2f"
    yield table(
        figures,
        title=f"Figures by {OBJECTIVES[objective]}",
        formats=dict.fromkeys(figures.columns, spec) | {"customers": ",.0f"},
        mark=words.policy_name("ours"),
        folded=True,
    )


def _keeps_to_limits(rows: pd.DataFrame) -> pd.Series:
    """(rows,) bool: the policies that keep to the budget and the capacities, where some bind.

    The others send an offer to everybody, so they earn more than any policy within limits can.
    """
    bound = rows["policy"].str.endswith(WITHIN_LIMITS)
    return bound | rows["policy"].isin(["ours", TREAT_NONE]) if bound.any() else ~bound


def _verdict(ours: Mapping[Any, Any], decided: Mapping[str, Any]) -> str:
    best, over = words.plain(decided["best_single"]), words.policy_name(ours["over"])
    if not decided["personalize"]:
        return f"{best} for all; an offer per customer is not expected to gain"
    if decided.get("gain", 0.0) < 0:
        return (
            f"an offer per customer; its lead over {best} for all is of the rows that decide, and "
            "gone on all rows"
        )
    if not decided.get("evidence", True):
        return f"an offer per customer; its lead over {best} for all is expected, not evident"
    if ours["gain_lo"] <= 0 <= ours["gain_hi"]:
        return (
            f"an offer per customer; its lead is evident on all rows, but over {over} within noise "
            "on the held-out ones"
        )
    ahead = "ahead of" if ours["gain_lo"] > 0 else "behind"
    return f"an offer per customer, {ahead} {over} beyond noise"
