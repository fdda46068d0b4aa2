"""The data card of a simulated world: each row of the calibration, beside what this run gave.

A row is published (H: a number to hit), published in sign only (S), or our own choice (D). Numbers
are measured on the tables as an analyst would; signs on the truth, where they are free of noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ..simulate import Simulation
from . import figures as figures
from . import signs as signs
from .finding import Finding
from .study import Study, lay_out

ORIGIN = {"H": "published", "S": "sign published", "D": "our choice"}
ROWS: tuple[Callable[[Study], Finding], ...] = (
    figures.size,
    figures.acceptance,
    figures.no_offer,
    figures.costs,
    figures.roi,
    figures.lifetime_values,
    signs.durations,
    signs.drivers,
    signs.complained,
    signs.reasons,
    figures.interaction,
    signs.second_months,
    signs.monthly_profit,
    signs.lapse_and_faults,
    signs.lost_twice,
    figures.touchy,
    figures.stated,
    signs.gone,
    figures.churn,
    signs.contacts,
    signs.first_relation,
    figures.heterogeneity,
)


def data_card(simulation: Simulation) -> pd.DataFrame:
    """One row per row of the calibration table.

    Tolerances stated for 50,000 rows widen with the square root of 50,000 over the rows there
    are; they never narrow.

    Returns
    -------
    pandas.DataFrame
        `row` (1 to 22), `kind` (H, S, D), `origin`, `what`, `target`, `tolerance`, `measured`,
        `holds`.
    """
    study = lay_out(simulation)
    frame = pd.DataFrame([vars(row(study)) for row in ROWS])
    frame.insert(0, "row", np.arange(1, len(frame) + 1))
    frame.insert(2, "origin", frame["kind"].map(ORIGIN))
    return frame.assign(holds=frame["holds"].astype(bool))


def card_markdown(card: pd.DataFrame) -> str:
    """A data card as a markdown table, for the documentation."""
    lines = [
        "| # | kind | what | target | tolerance | measured | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in card.itertuples():
        cells = (line.row, line.origin, line.what, line.target, line.tolerance, line.measured)
        holds = "yes" if line.holds else "no"
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} | {holds} |")
    return "\n".join(lines) + "\n"
