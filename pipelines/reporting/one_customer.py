"""One customer of the list as an example: the same waterfall as `winback customer`."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ...models.formula.explain import OFFER
from ..storage.stage_outputs import read_dictionary
from ..storage.trained_models import read_answers
from ..tables.customer_row import customer_row
from ..tables.list_rows import GAIN
from . import charts, words
from .html import Block, picture, table, text
from .summary import Findings, Inputs
from .waterfall import take_apart


def one_customer(inputs: Inputs, findings: Findings) -> Iterator[Block]:
    """Why the first customer of the list gets this offer, part by part."""
    offered = findings.listed.gaining
    if offered.empty or pd.isna(offered[GAIN].iloc[0]):
        return
    first = offered.iloc[0]
    known = customer_row(inputs.features / "current.parquet", str(first["customer_id"]))
    if known is None:
        return
    meanings = {entry["name"]: entry["meaning"] for entry in read_dictionary(inputs.features)}
    meanings[OFFER] = "the offer itself"
    answers = read_answers(inputs.churn, inputs.winback)
    offer = words.plain(first["recommended_offer"])
    fall = take_apart(answers, known, f"uplift_{first['recommended_offer']}", meanings)
    # The id stands in a table, since rows of tables are what is removed of an erased customer.
    yield table(
        offered[["customer_id", "reasons"]]
        .head(1)
        .rename(columns={"customer_id": "customer id", "reasons": "why"}),
        title="The first customer on the list",
        formats={"customer id": "d"},
    )
    yield text("The same for anybody: winback customer ID.")
    yield picture(
        charts.waterfall(
            fall.parts["meaning"].tolist(), fall.parts["share"].tolist(), base=fall.base
        ),
        f"{offer[0].upper()}{offer[1:]} raises this customer's chance to return by "
        f"{100 * fall.forecast:.0f} points; what that is made of",
        "From the typical effect on top, feature by feature, to the effect for this customer; the "
        "parts add up to it.",
    )
