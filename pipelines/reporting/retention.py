"""Chapter of the report on active customers: whom an offer keeps, and whom it drives away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...models.evaluation.effect_groups import effects_by_predicted, lowest_and_highest
from ...models.formula.formula import RETENTION
from ..settings.experiments import Experiment
from ..settings.objectives import graded
from ..tables.list_rows import is_sent
from ..tables.safe_csv import read_table
from . import charts, words
from .html import Block, picture, table, text
from .kept import Kept
from .summary import Findings, Inputs

LEAD = "difference"
SENT = {
    "recommended_offer": "offer",
    "customers": "customers",
    "kept": "expected to be kept",
    "gain": "expected gain",
}


def retention(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """What each offer changes, whom to choose for it, what each policy keeps, what is sent."""
    experiment = findings.source.retention_experiment
    if experiment is None or "retention" not in findings.metrics:
        return
    figures = findings.metrics["retention"]["policy"]
    yield from _arms(inputs, experiment)
    for objective in sorted(figures, key=lambda name: name != findings.objective):
        yield from _policies(inputs, findings, experiment, objective, figures[objective])
    yield from _effects(inputs, findings, experiment)
    if findings.kept is not None:
        yield from _sent(findings.kept, experiment)


def _arms(inputs: Inputs, experiment: Experiment) -> Iterator[Block]:
    """The share that stayed in each arm."""
    levels = read_table(inputs.winback / RETENTION / "readout" / "levels.csv")
    rates = levels[levels["outcome"] == "returned"]
    by_arm = rates.set_index("arm")["estimate"]
    best = str(by_arm.idxmax())
    yield text(
        f"{rates['rows'].sum():,.0f} customers were active when chance drew an offer for them, or "
        f"none. Whoever was still a customer {experiment.return_window_days} days later has "
        "stayed. A high risk to leave does not tell that an offer keeps a customer: it may change "
        "nothing, or remind him to leave."
    )
    yield picture(
        charts.arms(levels, unit="share that stayed"),
        f"{by_arm[experiment.control]:.1%} stayed without an offer, {by_arm[best]:.1%} with "
        f"{words.plain(best)}"
        if best != experiment.control
        else f"Sent to all, no offer keeps more than the {by_arm[best]:.1%} who stayed without one",
    )


def _policies(
    inputs: Inputs,
    findings: Findings,
    experiment: Experiment,
    objective: str,
    figures: Mapping[str, Any],
) -> Iterator[Block]:
    """Policies side by side on held-out customers, and both choices at any share contacted."""
    rows = read_table(inputs.plots / "retention_policies.csv")
    rows = rows[rows["objective"] == objective]
    unit = words.unit(objective, findings.source, experiment)
    yield picture(
        charts.policies(rows, unit=unit),
        _verdict(figures, objective, findings),
        f"{int(rows['n'].iloc[0]):,} held-out customers (doubly robust, {findings.level:.0%} "
        f"intervals). Risk sends {words.plain(figures['sent_by_risk'])} to the likeliest to leave, "
        "uplift to each the offer that promises most, to as many customers.",
    )
    names = {
        "policy": "policy",
        "value_per_customer": "value per customer",
        "lo": "low",
        "hi": "high",
        "gain_over_best_single": f"gain over {words.policy_name(figures['over'])}",
        "gain_lo": "gain, low",
        "gain_hi": "gain, high",
    }
    spec = ",.4f" if objective == "returns" else ",.2f"
    yield table(
        rows[list(names)]
        .assign(policy=rows["policy"].map(words.policy_name))
        .rename(columns=names),
        title="The same in figures",
        formats=dict.fromkeys(list(names.values())[1:], spec),
        mark=words.policy_name("ours"),
        folded=True,
    )
    if objective == "roi":
        return
    shares = read_table(inputs.plots / "retention_shares.csv")
    shares = shares[shares["objective"] == objective]
    lead = shares[shares["policy"] == LEAD]
    both = shares[shares["policy"] != LEAD]
    yield picture(
        charts.curves(
            both.assign(policy=both["policy"].map(words.policy_name)),
            x="share",
            y="gain",
            by="policy",
            x_unit="share of customers contacted",
            y_unit="gain over no offer",
            percent=objective == "returns",
        ),
        f"Chosen by uplift more is kept than by risk, beyond noise, at "
        f"{(lead['lo'] > 0).sum()} of {len(lead)} shares; by risk at {(lead['hi'] < 0).sum()}",
        f"The same held-out customers, as more and more of them are contacted; {unit}.",
    )


def _verdict(figures: Mapping[str, Any], objective: str, findings: Findings) -> str:
    """Uplift against risk at as many contacts, in a headline."""
    lead, low, high = (figures[f"uplift_over_risk{end}"] for end in ("", "_lo", "_hi"))
    if objective == "returns":
        spread = f"{100 * lead:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
    else:
        ends = (words.measured(one, objective, findings.source) for one in (lead, low, high))
        each = " per customer" if objective == "profit" else ""
        spread = f"{{}}{each} ({{}} to {{}})".format(*ends)
    what = {"returns": "customers kept", "profit": "profit", "roi": "gain per money spent"}
    noise = "" if low > 0 or high < 0 else ", within noise"
    return f"By {what[objective]}: uplift over risk {spread}{noise}"


def _effects(inputs: Inputs, findings: Findings, experiment: Experiment) -> Iterator[Block]:
    """Predicted against observed effect, in fifths."""
    rows = pd.read_parquet(inputs.winback / RETENTION / "held_out.parquet")
    judged = graded(rows, rows, experiment, "returns")
    predicted = rows[[f"uplift_{name}" for name in judged.names[1:]]]
    fifths = effects_by_predicted(judged, predicted, level=findings.level)
    first, last, told = lowest_and_highest(fifths)
    yield picture(
        charts.reliability(fifths, by="offer", unit="effect on staying", percent=True),
        f"The model finds whom an offer keeps: {first:+.0%} in the lowest fifth, {last:+.0%} in "
        "the highest"
        if told
        else "Whom an offer keeps is within noise",
        "Held-out customers in fifths by predicted effect, against the observed effect; below zero "
        "an offer drives customers away.",
    )


def _sent(kept: Kept, experiment: Experiment) -> Iterator[Block]:
    """What today's active customers are sent."""
    cells = kept.cells
    offered = cells[is_sent(cells, experiment.control)]
    held = cells.loc[cells["holdout"], "customers"].sum()
    harmed = cells.loc[cells["excluded_by"] == "do_not_disturb", "customers"].sum()
    yield text(
        f"Of {cells['customers'].sum():,} active customers {offered['customers'].sum():,} are to "
        f"be sent an offer, {held:,} are held out at random to measure by, and {harmed:,} are left "
        "in peace because every offer makes their staying less likely."
    )
    if offered.empty:
        return
    summed = offered.groupby("recommended_offer", sort=True)[["customers", "kept", "gain"]].sum()
    known = offered.groupby("recommended_offer")["gain_known"].sum() > 0
    yield table(
        summed.assign(gain=summed["gain"].where(known)).reset_index().rename(columns=SENT),
        title="What is sent to active customers",
        formats={"customers": ",.0f", "expected to be kept": ",.1f", "expected gain": ",.0f"},
    )
    first = kept.first
    yield table(
        first[["customer_id", "recommended_offer", "kept", "reasons"]].rename(
            columns={
                "customer_id": "customer id",
                "recommended_offer": "offer",
                "kept": "effect",
                "reasons": "why",
            }
        ),
        title="Those whom an offer keeps most",
        formats={"customer id": "d", "effect": "+.1%"},
    )
