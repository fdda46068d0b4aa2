"""The active customers whom an offer may keep: counted, and set apart from the rest of the list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...models.offers import STAYS, of_own_offer
from ..settings.experiments import Experiment
from ..tables.list_parts import list_parts, listed_columns
from ..tables.list_rows import GAIN, is_sent, leading

OF_OFFER = (STAYS, "uplift_", "value_", "months_", "expected_profit_")
KEYS = ["recommended_offer", "holdout", "excluded_by"]
SHOWN = 5  # of those whom an offer keeps most


@dataclass(frozen=True)
class Kept:
    """What is known of active customers for whom there are offers.

    Attributes
    ----------
    cells
        By `KEYS`: customers; kept, the sum of the effects of their own offers on staying; gain and
        gain_known, the sum of expected gains and of how many it is.
    first
        Those who are sent an offer and whom it keeps most, with that effect as kept.
    """

    cells: pd.DataFrame
    first: pd.DataFrame


def columns_of(experiment: Experiment) -> set[str]:
    """What the list says of the offers of an experiment among active customers."""
    return {f"{stem}{name}" for stem in OF_OFFER for name in experiment.offer_names}


def without_kept(rows: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Rows of the list as if there were no offers to active customers."""
    mine = rows[f"{STAYS}{experiment.control}"].notna()
    rows = rows.drop(columns=[name for name in columns_of(experiment) if name in rows])
    nothing = {"recommended_offer": None, "excluded_by": None, GAIN: float("nan"), "holdout": False}
    for name in nothing.keys() & {*rows}:
        rows.loc[mine, name] = nothing[name]
    return rows


def read_kept(file: Path, experiment: Experiment) -> Kept:
    """Count the active customers of a list for whom there are offers.

    Raises
    ------
    StoreError
        As `list_parts`.
    """
    there = {*listed_columns(file)}
    stays = f"{STAYS}{experiment.control}"
    effects = [f"uplift_{name}" for name in experiment.offers]
    asked = [name for name in (*KEYS, GAIN, "reasons", stays, *effects) if name in there]
    cells: list[pd.DataFrame] = []
    first: list[pd.DataFrame] = []
    for part in list_parts(file, asked):
        rows = part[part[stays].notna()]
        sent = rows[is_sent(rows, experiment.control)]
        sent = sent.assign(kept=of_own_offer(sent, sent["recommended_offer"], "uplift_"))
        first = [leading(first, sent, "kept", SHOWN)]
        facts = rows[KEYS].assign(
            customers=1,
            kept=sent["kept"].reindex(rows.index, fill_value=0.0),
            gain=rows[GAIN],
            gain_known=rows[GAIN].notna(),
        )
        counted = pd.concat([*cells, facts]).groupby(KEYS, dropna=False).sum().reset_index()
        cells = [counted]
    return Kept(cells[0], first[0])
