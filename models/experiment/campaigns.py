"""Several campaigns: what each brought by itself, and what is not known of it yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .campaign import LEAST_CHANCE, CampaignReadout, campaign_readout
from .maturity import campaign_names
from .randomization import ExperimentError

TOLD = (
    "small arm",
    "no outcome",
    "lost arm",
    "overlap",
)  # checks of a campaign that hide no other one
GAINS = {"returned": "share", "value": "profit", "profit": "profit"}  # how its columns begin
COLUMNS = (
    "campaign",
    "offered_at",
    "sent",
    "held_out",
    "share",
    "share_held_out",
    *(f"{begins}_{ends}" for begins in ("share", "profit") for ends in ("gain", "lo", "hi")),
    "share_known_at",
    "profit_known_at",
    "unread",
)
Read = CampaignReadout | ExperimentError


def read_campaigns(
    offers: pd.DataFrame,
    *,
    control: str,
    contact_cost: Mapping[str, float],
    covariates: pd.DataFrame,
    alpha: float,
) -> tuple[dict[str, Read], Read]:
    """Each campaign by itself, by name, and all together; for what tells nothing, why.

    Campaigns differ in whom they held out and how many return to them anyway. Together they are
    weighted by the logged chances, so that each counts by its customers, among those sent and among
    those held out alike; one that held out nobody, or under one in a hundred, is left out.

    Parameters
    ----------
    offers, control, contact_cost, covariates
        As in `campaign_readout`, the offers with campaign. Balance is checked over all campaigns.
    alpha
        Level of the alarms, over all campaigns.

    Raises
    ------
    ExperimentError
        If a campaign is broken, which is more than too small, unanswered or without a holdout.
    """
    names = campaign_names(offers)
    options: dict[str, Any] = {"control": control, "contact_cost": contact_cost}
    each: dict[str, Read] = {}
    for name in sorted(set(names)):
        try:
            each[name] = _read(offers[names == name], alpha=alpha / names.nunique(), **options)
        except ExperimentError as error:
            why = str(error).removeprefix(f"experiment, {error.check}: ")
            named = f"campaign '{name}': " if name else ""
            raise ExperimentError(error.check, f"{named}{why}") from error
    held_out = (offers["chosen"] != control) & (offers["offer"] == control)
    rare = held_out & (offers["propensity"] < LEAST_CHANCE)
    kept = held_out.groupby(names).transform("any") & ~rare.groupby(names).transform("any")
    kept = kept if kept.any() else ~kept
    return each, _read(offers[kept], alpha=alpha, covariates=covariates[kept], **options)


def _read(offers: pd.DataFrame, **options: Any) -> Read:
    """A readout, or why it tells nothing."""
    try:
        return campaign_readout(offers, **options)
    except ExperimentError as error:
        if error.check in TOLD:
            return error
        raise


def campaign_table(
    offers: pd.DataFrame,
    found: Mapping[str, Read],
    *,
    control: str,
    share_days: int,
    profit_days: int,
) -> pd.DataFrame:
    """A row for each campaign: whom it reached, what that brought, and when more is known.

    Parameters
    ----------
    offers
        (n, ...) everybody for whom campaigns chose an offer: campaign, as_of (UTC), chosen, offer,
        its propensity, and returned (0 or 1; missing where it is not known yet).
    found
        By name, what was read of those that are old enough.
    control
        Name of no offer.
    share_days, profit_days
        Days from an offer until a return, and what it earned, is known.

    Returns
    -------
    DataFrame
        The oldest first: `COLUMNS`. sent and held_out are customers (sent: the chosen offer); share
        and share_held_out are of them who returned; share_gain and profit_gain, per customer over
        those held out, have 95% intervals lo and hi and are missing where nothing is read; the
        moments (UTC) from which all is known; unread is the check that a campaign did not pass.
    """
    rows = offers[offers["chosen"].fillna(control) != control]
    lines = []
    for name, mine in rows.groupby(campaign_names(rows)):
        result = found.get(str(name))
        got, held = mine["offer"] == mine["chosen"], mine["offer"] == control
        known = mine["returned"].notna()
        line = {
            "campaign": name,
            "offered_at": mine["as_of"].min(),
            "sent": int(got.sum()),
            "held_out": int(held.sum()),
            "share": _share(mine[got & known]),
            "share_held_out": _share(mine[held & known]),
            "share_known_at": mine["as_of"].max() + pd.Timedelta(days=share_days),
            "profit_known_at": mine["as_of"].max() + pd.Timedelta(days=profit_days),
            "unread": result.check if isinstance(result, ExperimentError) else "",
        }
        lines.append(line | (_gains(result) if isinstance(result, CampaignReadout) else {}))
    return pd.DataFrame(lines, columns=[*COLUMNS]).sort_values(
        ["offered_at", "campaign"], ignore_index=True
    )


def _share(rows: pd.DataFrame) -> float:
    """Share who returned, each counted for as many as were as likely to get what they got."""
    if rows.empty:
        return float("nan")
    weights = 1.0 / rows["propensity"].fillna(1.0).astype(float)
    return float(np.average(rows["returned"].astype(float), weights=weights))


def _gains(found: CampaignReadout) -> dict[str, float]:
    """Gains over those held out, of the whole campaign; value is profit where nothing costs."""
    gains: dict[str, float] = {}
    for outcome, begins in GAINS.items():
        row = found.whole(outcome)
        if row is not None:
            names = {"gain": "estimate", "lo": "lo", "hi": "hi"}
            gains |= {f"{begins}_{ends}": float(row[name]) for ends, name in names.items()}
    return gains
