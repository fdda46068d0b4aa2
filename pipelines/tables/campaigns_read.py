"""What our campaigns brought: each by itself, all together, and what is not known of them yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ...models.experiment.campaign import CampaignReadout
from ...models.experiment.campaigns import Read, campaign_table, read_campaigns
from ...models.experiment.randomization import ExperimentError
from ..settings.experiments import Experiment
from ..settings.sources import Population, Source
from .experiment_readout import sent_rows

SENT = ("campaign", "offered_at", "chosen", "offer", "propensity")  # of the table offers
REACHED = ("campaign", "as_of", "chosen", "offer", "propensity", "returned")  # of features


@dataclass(frozen=True)
class CampaignsRead:
    """What campaigns say.

    Attributes
    ----------
    each
        A row for each campaign (`models.experiment.campaigns.campaign_table`).
    whole
        All of them together; None if that is not read.
    error
        Why it is not.
    now
        Up to when the data go, UTC.
    has_money
        Whether something tells, now or later, what a return earned.
    """

    each: pd.DataFrame
    whole: CampaignReadout | None
    error: ExperimentError | None
    now: pd.Timestamp
    has_money: bool


def campaigns_readout(
    rows: pd.DataFrame,
    experiment: Experiment,
    *,
    features: list[str],
    tables: Path,
    now: pd.Timestamp,
    share_days: int,
    alpha: float,
) -> CampaignsRead | None:
    """Read out the campaigns of a source; None if it has none.

    Parameters
    ----------
    rows
        (n, ...) of winback.parquet or retention.parquet that campaigns chose, with `value_known`.
    features
        Columns that are facts known before the offer.
    tables
        Folder of the tables, whose offers tell of campaigns that are too young for `rows`.
    now
        Up to when the data go, UTC.
    share_days
        Days from an offer until it is known who returned, or stayed.
    alpha
        Level of the alarms.

    Raises
    ------
    ExperimentError
        If a campaign is broken.
    """
    young = _too_young(experiment, tables, since=now - pd.Timedelta(days=share_days))
    if rows.empty and young.empty:
        return None
    found: dict[str, Read] = {}
    together: Read | None = None
    if len(rows):
        frame, contact = sent_rows(rows, experiment, features)
        found, together = read_campaigns(
            frame.assign(chosen=rows["chosen"]),
            control=experiment.control,
            contact_cost=contact,
            covariates=rows[features],
            alpha=alpha,
        )
    reached = [part for part in (rows[[*REACHED]], young) if len(part)]
    each = campaign_table(
        pd.concat(reached, ignore_index=True),
        found,
        control=experiment.control,
        share_days=share_days,
        profit_days=experiment.value_horizon_days,
    )
    has_money = bool(rows["value"].notna().any()) or (tables / "orders.parquet").is_file()
    return CampaignsRead(
        each,
        whole=together if isinstance(together, CampaignReadout) else None,
        error=together if isinstance(together, ExperimentError) else None,
        now=now,
        has_money=has_money,
    )


def share_days(source: Source, population: Population) -> int:
    """Days from an offer until it is known who returned, or, of active customers, who stayed."""
    experiment = source.experiment_among(population)
    assert experiment is not None
    if population == "lost" or source.churn is None:
        return experiment.return_window_days
    return source.churn.maturity_days - source.churn.lead_days


def _too_young(experiment: Experiment, tables: Path, *, since: pd.Timestamp) -> pd.DataFrame:
    """Offers of campaigns sent after a moment, of which it is not known yet who returned."""
    file = tables / "offers.parquet"
    there = pq.read_schema(file).names
    if "chosen" not in there:
        return pd.DataFrame(columns=[*REACHED])
    offers = pd.read_parquet(file, columns=[name for name in SENT if name in there])
    offers = offers.rename(columns={"offered_at": "as_of"}).reindex(columns=[*REACHED])
    ours = offers["chosen"].notna() & offers["offer"].isin(experiment.offer_names)
    return offers[ours & (offers["as_of"] > since)]
