"""What weakens the claims of the first screen, in a sentence each."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..storage.atomic import verify
from ..tables.list_rows import RISK
from . import words
from .fairness import unequal
from .summary import Findings, Inputs


def weaknesses(findings: Findings, inputs: Inputs, alarms: dict[str, int]) -> Iterator[str]:
    """What weakens the claims: doubtful data, support of the experiment, drift, leavers outside."""
    cells = findings.listed.cells
    if findings.source.simulate is not None:
        yield "The customers are simulated; no figure is a fact about a real business."
    for told in findings.doubts:
        yield f"{told[0].upper()}{told[1:]}."
    if RISK in cells:
        yield from _undated(findings, inputs)
    if findings.decision:
        asked = cells.loc[cells["recommended_offer"].notna(), "customers"].sum()
        unlike = cells["unlike"].sum()
        if unlike:
            yield (
                f"{unlike:,} of {asked:,} customers ({unlike / asked:.0%}) are "
                "unlike those of the experiment; they get no offer, since nobody knows what one "
                "does."
            )
        yield from _beyond(findings)
        yield from _worse_than_nothing(findings)
    yield from unequal(inputs)
    if "leavers" in findings.metrics:
        grades = findings.metrics["leavers"]
        promised, came = grades["predicted"], grades["base_rate"]
        if abs(promised - came) > max(0.01, 0.1 * came):
            yield (
                f"{grades['rows']:,.0f} customers who left outside of the experiment returned "
                f"{'less' if came < promised else 'more'} often than predicted: {came:.1%} instead "
                f"of {promised:.1%}. Trust the order of the list more than its totals."
            )
    for population, count in alarms.items():
        if count:
            noun = "feature has" if count == 1 else "features have"
            yield (
                f"{count} {noun} drifted among the {population} customers of today: see "
                "the chapter on drift before you trust their figures."
            )
    if findings.decision:
        for note in json.loads((inputs.winback / "readout" / "readout.json").read_text())["notes"]:
            yield f"The experiment: {note}."


def _worse_than_nothing(findings: Findings) -> Iterator[str]:
    """That customers held out would have earned more, or returned more often, without an offer."""
    rows = findings.policies[findings.policies["objective"] == findings.objective]
    value = rows.set_index("policy")["value_per_customer"]
    if findings.objective != "roi" and value["treat_none"] > value["ours"]:
        none, ours = (
            words.measured(float(value[policy]), findings.objective, findings.source)
            for policy in ("treat_none", "ours")
        )
        yield (
            f"On customers held out, no offer to anybody is worth {none} each, our policy {ours}: "
            "see which policy earns most before you send anything."
        )


def _undated(findings: Findings, inputs: Inputs) -> Iterator[str]:
    """That the churn model was tested at random, and on how many twins."""
    if findings.source.churn is None or findings.source.churn.dated:
        return
    learned = verify(inputs.churn)
    yield (
        f"The churn model is tested {learned['split']}. Expect less of it next year than here. It "
        "has learned from whoever is still here that they stayed, so their risks are on the low "
        "side: trust the order more than the total."
    )
    for note in learned["notes"]:
        if "twin" in note:
            yield f"{note}."


def _beyond(findings: Findings) -> Iterator[str]:
    """The part of the expected gain that rests on customers unlike most of the experiment.

    Beside it their gain if effects were carried in log odds instead of points of probability.
    """
    cells = findings.listed.cells
    if "beyond" not in cells or not cells["beyond"].any():
        return
    added = cells["gain_beyond"].sum()
    said = (
        f"{added / cells['gain_positive'].sum():.0%} of the expected gain comes from "
        f"{cells['beyond'].sum():,} customers who left longer ago than nine in ten of those in the "
        "experiment: there the forecast is carried further than it was tested. "
    )
    if "carried" in cells:
        points, odds = (
            words.amount(float(money), findings.source) for money in (added, cells["carried"].sum())
        )
        said += (
            f"If an offer adds as many points there as in the experiment, they bring {points}; if "
            f"it multiplies the odds as there, {odds}."
        )
    yield said
