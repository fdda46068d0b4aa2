"""Chapter of the report on campaigns that were sent: what each brought, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ...models.experiment.maturity import value_known
from ...models.experiment.randomization import ExperimentError
from ..settings.sources import Source
from ..storage.stage_outputs import feature_names
from ..tables.campaigns_read import campaigns_readout, share_days
from ..tables.comparable_rows import of_experiment
from . import charts, words
from .html import Block, picture, table, text
from .readout_text import NAMELESS, campaign_lines, campaigns_verdict
from .summary import Inputs


def sent_campaigns(
    source: Source, inputs: Inputs, *, as_of: pd.Timestamp, alpha: float
) -> Iterator[Block]:
    """What campaigns to lost customers brought over those held out; nothing if there was none.

    `alpha` is the level of the alarms of a broken campaign.
    """
    experiment = source.experiment
    if experiment is None or not _any_sent(inputs.tables / "offers.parquet"):
        return
    rows = pd.read_parquet(inputs.features / "winback.parquet")
    rows = rows[~of_experiment(rows)].reset_index(drop=True)
    known = value_known(rows, now=as_of, horizon_days=experiment.value_horizon_days)
    try:
        found = campaigns_readout(
            rows.assign(value_known=known),
            experiment,
            features=feature_names(inputs.features, rows),
            tables=inputs.tables,
            now=as_of,
            share_days=share_days(source, "lost"),
            alpha=alpha,
        )
    except ExperimentError as error:
        yield text(f"Our campaigns cannot be read: {error}.")
        return
    if found is None:
        return
    yield text(campaigns_verdict(found, source, "returned"))
    gain = "profit" if found.each["profit_gain"].notna().any() else "share"
    read = found.each.dropna(subset=[f"{gain}_gain"])
    if len(read):
        unit = words.unit("profit" if gain == "profit" else "returns", source)
        yield picture(
            charts.intervals(
                read.assign(campaign=read["campaign"].replace("", NAMELESS)),
                label="campaign",
                value=f"{gain}_gain",
                lo=f"{gain}_lo",
                hi=f"{gain}_hi",
                unit=f"{unit}, over those held out",
                zero=True,
            ),
            "What each campaign brought for a customer for whom it chose an offer",
        )
    header, *lines = campaign_lines(found, source, "returned")
    yield table(pd.DataFrame(lines, columns=header), title="Each campaign, 95% intervals")


def _any_sent(offers: Path) -> bool:
    """Whether a campaign chose any of the offers in the table."""
    if "chosen" not in pq.read_schema(offers).names:
        return False
    return bool(pd.read_parquet(offers, columns=["chosen"])["chosen"].notna().any())
