"""`winback customer`: what the list says about one customer, and what the forecast is made of.

Reads what the stages left. Customers who objected are not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..models.formula.answers import Answers
from ..models.formula.explain import OFFER
from ..models.offers import RETURNS, STAYS
from .job.exit_codes import Refusal
from .job.result import Result
from .job.terminal import columns, paint
from .reporting import words
from .reporting.charts import waterfall
from .reporting.html import Block, Card, Chapter, picture, render, table
from .reporting.waterfall import Waterfall, take_apart
from .settings.sources import Source
from .storage.atomic import replace_file
from .storage.stage_outputs import read_meanings
from .storage.trained_models import models_version, read_answers
from .tables.customer_row import customer_row

CHANCES = {RETURNS: "returns", STAYS: "stays"}
PER_OFFER = ("uplift_", "value_", "months_", "expected_profit_")  # beside the chance


def customer(
    identity: str,
    source: Source,
    *,
    tables: Path,
    features: Path,
    churn: Path,
    winback: Path,
    recommendations: Path,
    html: Path | None = None,
) -> Result:
    """Everything that the list says about one customer; a page too, if a file is named.

    Parameters
    ----------
    identity
        The id, as text or as the digits of a number.

    Raises
    ------
    Refusal
        If the customer is not on the list, or the list is older than features or models.
    """
    if source.suppressions != "none" and _objected(identity, tables / "suppressions.parquet"):
        told = f"Customer {identity} stands in the table of suppressions: nothing is shown."
        return Result(paint(told, "bold"), {"customer_id": identity, "suppressed": True})
    listed = customer_row(recommendations, identity)
    known = customer_row(features / "current.parquet", identity)
    if listed is None or known is None:
        raise Refusal(
            f"customer {identity}: not on the list {recommendations}; correct the id, or run "
            "winback run if the customer is new. Of erased customers nothing is kept, not even "
            "that they were erased"
        )
    row = listed.iloc[0]
    stale = row["as_of"] != known["as_of"].iloc[0]
    if stale or row["model_version"] != models_version(churn, winback):
        raise Refusal(
            f"{recommendations}: older than the features or models that stand; run winback run"
        )
    meanings = read_meanings(features)
    meanings[OFFER] = "the offer itself"
    answers = read_answers(churn, winback)
    falls = [take_apart(answers, known, output, meanings) for output in _explained(row, answers)]
    if html is not None:
        page = _page(identity, row, known, falls, source)
        replace_file(html, page.encode())
    facts = {
        "customer_id": identity,
        "suppressed": False,
        "population": _population(known),
        **{str(name): _plain(value) for name, value in row.drop("customer_id").items()},
        "waterfalls": [
            {
                "output": fall.output,
                "base": fall.base,
                "parts": fall.parts.to_dict("records"),
                "forecast": fall.forecast,
            }
            for fall in falls
        ],
        "html": html,
    }
    return Result(_text(identity, row, known, falls, source), facts)


def _objected(identity: str, file: Path) -> bool:
    return file.is_file() and customer_row(file, identity, ["customer_id"]) is not None


def _explained(row: pd.Series, answers: Answers) -> list[str]:
    """The outputs to take apart: the risk, and the chance with the best offer and its effect."""
    outputs = []
    if answers.churn is not None and pd.notna(row.get("churn_probability")):
        outputs.append("churn_probability")
    offer = row.get("recommended_offer")
    outputs += [f"{stem}{offer}" for stem in (RETURNS, STAYS, "uplift_") if pd.notna(offer)]
    return [name for name in outputs if name in row.index]


def _population(known: pd.DataFrame) -> str:
    return str(known["population"].iloc[0]) if "population" in known else "lost"


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value


def _strategy(row: pd.Series) -> str:
    return str(row["strategy"]) if pd.notna(row["strategy"]) else "not known"


def _decision(row: pd.Series) -> str:
    """What is decided, in a sentence."""
    offer = row["recommended_offer"]
    if pd.isna(offer):
        return "No offer: the customer is active"
    if pd.notna(row["excluded_by"]):
        return f"No offer, because of the rule {row['excluded_by']}"
    assigned = row["assigned_offer"]
    chance = f"which the draw does with a probability of {row['propensity']:.2f}"
    if row["holdout"]:
        return f"Held out: {offer} is recommended and nothing is sent, {chance}"
    if assigned != offer:
        return f"Explores: {offer} is recommended and {assigned} is sent, {chance}"
    return f"Send {offer}, {chance}"


def _title(output: str, source: Source) -> str:
    """An output as the headline of its waterfall."""
    if output == "churn_probability":
        return "Why this risk of leaving"
    if source.experiment and output == f"return_probability_{source.experiment.control}":
        return "Why this chance of returning without an offer"
    if source.retention and output == f"{STAYS}{source.retention.control}":
        return "Why this chance of staying without an offer"
    if output.startswith(STAYS):
        return f"Why this chance of staying with {words.plain(output.removeprefix(STAYS))}"
    offer = words.plain(output.removeprefix("return_probability_").removeprefix("uplift_"))
    if output.startswith("uplift_"):
        return f"Why {offer} changes the chance by so much"
    return f"Why this chance of returning with {offer}"


def _offers(row: pd.Series, source: Source) -> list[tuple[str, ...]]:
    """A line an offer: chance, effect, value and length of a return or stay, profit, gain."""
    known = [str(name) for name in row.index if pd.notna(row[name])]
    stem = next((one for one in CHANCES if any(name.startswith(one) for name in known)), None)
    if stem is None:
        return []
    names = [name.removeprefix(stem) for name in known if name.startswith(stem)]
    experiment = source.experiment if stem == RETURNS else source.retention
    control = experiment.control if experiment else names[0]
    lines: list[tuple[str, ...]] = [
        ("offer", CHANCES[stem], "effect", "worth", "months", "expected profit", "gain")
    ]
    for name in names:
        figures = [row.get(f"{one}{name}") for one in (stem, *PER_OFFER)]
        chance, effect, value, months, profit = figures
        gain = None if profit is None else profit - row[f"expected_profit_{control}"]
        lines.append(
            (
                name,
                f"{chance:.1%}",
                "" if effect is None else f"{100 * effect:+.1f} points",
                "" if value is None else words.amount(value, source),
                "" if months is None else f"{months:.1f}",
                "" if profit is None else words.amount(profit, source),
                "" if gain is None or name == control else words.amount(gain, source),
            )
        )
    return lines


def _lines(fall: Waterfall) -> list[tuple[str, ...]]:
    body = [
        (part["meaning"], part["value"], f"{part['share']:+.4f}")
        for part in fall.parts.to_dict("records")
    ]
    return [
        ("a typical customer", "", f"{fall.base:.4f}"),
        *body,
        ("this customer", "", f"{fall.forecast:.4f}"),
    ]


def _text(
    identity: str, row: pd.Series, known: pd.DataFrame, falls: Sequence[Waterfall], source: Source
) -> str:
    lines = [
        paint(
            f"Customer {identity}: {_population(known)}, as of {row['as_of']:%Y-%m-%d}, "
            f"priority {row['priority']}, strategy {_strategy(row)}",
            "bold",
        ),
        paint(f"{_decision(row)}.", "bold"),
        *columns([[f"Why: {row['reasons']}"]]),
    ]
    if offers := _offers(row, source):
        lines += ["", *columns(offers, right=(1, 2, 3, 4, 5))]
    for fall in falls:
        lines += [
            "",
            paint(_title(fall.output, source), "bold"),
            *columns(_lines(fall), right=(1, 2)),
        ]
    return "\n".join(lines)


def _page(
    identity: str, row: pd.Series, known: pd.DataFrame, falls: Sequence[Waterfall], source: Source
) -> str:
    facts = pd.DataFrame(
        {
            "customer_id": [identity],
            "population": [_population(known)],
            "priority": [row["priority"]],
            "strategy": [_strategy(row)],
            "rule": [row["excluded_by"] if pd.notna(row["excluded_by"]) else ""],
        }
    )
    decided: list[Block] = [table(facts)]
    if offers := _offers(row, source):
        decided.append(table(_frame(offers), title="Forecasts by offer"))
    explained = [
        block
        for fall in falls
        for block in (
            picture(
                waterfall(
                    fall.parts["meaning"].tolist(), fall.parts["share"].tolist(), base=fall.base
                ),
                _title(fall.output, source),
            ),
            table(_frame([("what", "value", "share"), *_lines(fall)])),
        )
    ]
    return render(
        title=f"Customer {identity}",
        subtitle=f"{source.title}, as of {row['as_of']:%Y-%m-%d}",
        cards=[Card("What to do?", _decision(row), str(row["reasons"]))],
        chapters=[
            Chapter("decision", "The decision", decided),
            Chapter("why", "What the forecast is made of", explained),
        ],
    )


def _frame(lines: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Lines under their header; a header that occurs twice stays so."""
    return pd.DataFrame(list(lines[1:]), columns=list(lines[0]))
