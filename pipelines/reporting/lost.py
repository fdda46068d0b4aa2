"""Chapter of the report on lost customers where no experiment says what offers do."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from . import charts, words
from .html import Block, picture, table, text
from .listed import past_of
from .summary import Findings


def lost(findings: Findings) -> Iterator[Block]:
    """Who comes first, what they were worth, and the rule of thumb."""
    cells = findings.listed.cells
    rows = cells[cells["population"] == "lost"]
    if rows.empty:
        return
    count = rows["customers"].sum()
    past = past_of(rows)
    groups = rows.groupby("priority")["customers"].sum().reindex(["A", "B", "C"], fill_value=0)
    start = (
        "Start with those of priority A, and send an offer to a random half of them"
        if groups["A"]
        else "Nothing tells what they were worth, so nobody comes first. Send an offer to a random "
        "half of some of them"
    )
    yield text(
        f"{count:,} customers count as lost. No randomized experiment says what an offer does "
        f"to them, so none is recommended. {start}: the next run then tells what it brought."
    )
    if groups["A"]:
        yield picture(
            charts.bars(
                [f"{letter}: {PRIORITIES[letter]}" for letter in groups.index],
                groups.tolist(),
                unit="lost customers",
                mark=(f"A: {PRIORITIES['A']}",),
            ),
            f"{groups['A']:,} of {count:,} lost customers come first",
        )
    if past is not None:
        noun = "margin" if past == "margin_total" else "spending"
        whole = rows[past].sum()
        worth = rows.groupby("priority")[past].sum().reindex(groups.index, fill_value=0.0)
        yield picture(
            charts.bars(
                [f"{letter}: {PRIORITIES[letter]}" for letter in worth.index],
                worth.tolist(),
                unit=f"{noun} so far{', ' + findings.source.currency if whole else ''}",
                mark=(f"A: {PRIORITIES['A']}",),
            ),
            f"They brought {words.amount(float(whole), findings.source)} of {noun} before they "
            f"left, {worth['A'] / whole:.0%} of it from priority A"
            if whole > 0
            else f"No {noun} of theirs is known",
        )
    counts = rows.groupby("discount")["customers"].sum()
    counts = counts.rename(int).sort_index()
    if len(counts):
        yield table(
            pd.DataFrame({"discount": [f"{step}%" for step in counts.index], "customers": counts}),
            title="A discount by rule of thumb: the longer silent, the more",
            formats={"customers": ",.0f"},
        )


PRIORITIES = {
    "A": "first fifth by money at stake",
    "B": "next three tenths",
    "C": "the rest",
}
