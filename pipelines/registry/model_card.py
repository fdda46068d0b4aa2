"""The model card of a version: what it predicts, for whom, how well, and what it is not for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...models.decision.decision import Decision
from ..settings.sources import Source
from ..tables.safe_csv import read_table

LONGEST = 5_000  # characters of a description that every MLflow server takes
SHOWN_SLICES = 3


def model_card(
    source: Source,
    *,
    as_of: str,
    decision: Decision | None,
    retention: Decision | None,
    churn: Path,
    policies: Path,
) -> str:
    """Markdown, from finished files.

    Parameters
    ----------
    as_of
        The moment of the data.
    decision
        What travels with the model; None where there are no offers.
    retention
        The same for active customers.
    churn
        Folder of the churn model; its metrics.csv and parts.csv are read where they are.
    policies
        The file of graded policies that stage evaluate writes.
    """
    lines = [f"# winback on {source.title}", "", f"Data as of {as_of[:10]}.", "", "## Answers", ""]
    grades = churn / "metrics.csv"
    if grades.exists() and source.churn is not None:
        lines.append(f"- `churn_probability`: an active customer leaves {source.churn.within}")
    if decision:
        offers = ", ".join([str(decision.control), *map(str, decision.offers)])
        lines.append(
            f"- for a lost customer and each offer ({offers}): return probability, uplift over "
            f"{decision.control}, value, expected profit; `recommended_offer` under the rules, "
            "`excluded_by`, `holdout`, `priority`, `strategy`"
        )
    if retention:
        offers = ", ".join([retention.control, *retention.offers])
        lines.append(
            f"- for an active customer and each offer ({offers}): probability to stay, uplift over "
            f"{retention.control}, value, expected profit; `recommended_offer` as for the lost"
        )
    if grades.exists():
        lines += ["", "## Churn, graded on later dates than it was fitted on", ""]
        lines += _churn(read_table(grades), read_table(churn / "parts.csv"))
    if decision:
        rows = json.loads(policies.read_text())
        lines += ["", "## Offers, graded on customers who were held out", ""]
        lines += _offers([row for row in rows if row["objective"] == decision.objective], decision)
    lines += ["", "## Limits", "", *_limits(source, decision or retention)]
    return "\n".join(lines)[: LONGEST - 1].rstrip() + "\n"


def _churn(grades: pd.DataFrame, parts: pd.DataFrame) -> Iterator[str]:
    test = parts.set_index("part").loc["test"]
    yield (
        f"{test['rows']:,} snapshots of {test['customers']:,} customers, {test['first'][:10]} to "
        f"{test['last'][:10]}; {test['churn_rate']:.1%} left."
    )
    yield ""
    yield "| | AUC | log loss | lift in the top tenth |"
    yield "|---|---|---|---|"
    whole = grades[grades["slice"] == "all"].set_index(["model", "metric"])
    for model in dict.fromkeys(whole.index.get_level_values("model")):
        cells = (_interval(whole.loc[(model, name)]) for name in ("auc", "log_loss", "lift_10"))
        yield f"| {model} | {' | '.join(cells)} |"
    slices = grades[
        (grades["slice"] != "all") & (grades["metric"] == "auc") & (grades["model"] == "churn")
    ].dropna(subset="value")
    worst = slices.nsmallest(SHOWN_SLICES, "value").to_dict("records")
    if worst:
        named = "; ".join(
            f"{row['value']:.2f} at {row['slice']} {row['level']} ({row['rows']:,} rows)"
            for row in worst
        )
        yield ""
        yield f"Where it ranks worst, AUC: {named}."


def _offers(rows: Sequence[Mapping[str, Any]], decision: Decision) -> Iterator[str]:
    ours = next(row for row in rows if row["policy"] == "ours")
    yield (
        f"{decision.objective.capitalize()} per customer of {ours['n']:,} held out; "
        + (
            "offers are personal."
            if decision.personalize
            else f"{decision.best_single} for all is sent: personal offers promise no more."
        )
    )
    yield ""
    yield f"| policy | value | over {ours['over']} |"
    yield "|---|---|---|"
    for row in rows:
        gain = {side: row[f"gain_{side}"] for side in ("lo", "hi")}
        over = _interval({"value": row["gain_over_best_single"], **gain})
        yield f"| {row['policy']} | {_interval(row)} | {over} |"


def _limits(source: Source, decision: Decision | None) -> Iterator[str]:
    yield (
        "- Grades are those of the same models fitted without the graded rows; what is registered "
        "has learned from these rows as well, and from nobody who is kept apart."
    )
    yield "- Intervals are 95%, of sampling alone; they say nothing of a world that has changed."
    if source.churn is not None and not source.churn.dated:
        yield (
            "- The churn table has no dates: the model is tested on customers set apart at random, "
            "which says nothing of later times."
        )
    if source.simulate is not None:
        yield "- The data are simulated: the figures show that the method works, not what you earn."
    if decision:
        yield (
            "- Effects are those of the offers, costs and customers of the experiment; another "
            "offer, or people who were never among its customers, need another experiment."
        )
        yield "- Who objected it does not know: the job that scores needs the list of objections."
    yield "- A probability is for planning and ranking, never for refusing a person a service."


def _interval(row: Mapping[str, Any]) -> str:
    value = row["value"] if "value" in row else row["value_per_customer"]
    if row["lo"] != row["lo"]:
        return f"{value:.4g}"
    return f"{value:.4g} ({row['lo']:.4g} to {row['hi']:.4g})"
