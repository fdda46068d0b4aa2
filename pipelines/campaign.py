"""`winback campaign`: from the list of decisions to what is sent, and the log to learn from.

Each campaign is a folder of its own that is never changed: `send.parquet`, one CSV per offer,
`log.parquet` (what everybody was assigned, held out or not, and with which probabilities), the
funnel and a summary. A source with `campaigns:` reads the logs as offers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..models.decision.campaign import SENT, campaign_log, funnel, send_sheet
from ..models.decision.decision import DECISION_FILE, Decision
from ..models.decision.recommend import is_lost
from .job.exit_codes import Refusal
from .job.lock import only_one
from .job.progress import say, step
from .scoring.send_list_drift import send_list_drift
from .scoring.suppressions import listed_among, objectors, read_suppressions
from .settings import moments
from .settings.params import Recommend
from .settings.sources import Source
from .storage.atomic import file_hash, verify
from .storage.places import Address, Place, local_copy, replace_folder, waiting
from .storage.shared_files import below, published_folders, stands
from .storage.stage_outputs import read_recommendations
from .storage.trained_models import read_decision
from .tables.campaign_files import (
    LOG,
    SEND,
    SUMMARY,
    read_logs,
    read_summary,
    write_offer_lists,
)
from .tables.even_rows import even_rows
from .tables.safe_csv import save_table

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class ListInputs:
    """What the pipeline left: features, tables and decision are folders, the list is a file."""

    features: Path
    tables: Path
    decision: Path
    recommendations: Path


def campaign(
    source: Source,
    params: Recommend,
    run: ListInputs,
    *,
    campaigns: Place,
    name: str | None,
    suppressions: Place | None,
    max_age_days: float,
) -> dict[str, Any]:
    """Draw a campaign from the list of today and write its folder; the summary.

    Parameters
    ----------
    source, params
        What the data are; limits and the cooldown.
    run
        What `winback run` left.
    campaigns
        Folder of all campaigns, of this machine or in an object store.
    name
        Of this one; None takes the day of the data.
    suppressions
        A list of objections that is newer than the tables, beside that of the tables.
    max_age_days
        Of that list.

    Raises
    ------
    Refusal
        If there is no experiment to choose offers by, nobody to send to, or another campaign of
        that name.
    SuppressionsUnusable, StoreError
        If a list of objections or what the pipeline left is unusable.
    """
    decision = read_decision(run.decision)
    if not decision.offers:
        raise Refusal(
            f"campaign: {source.path} has no experiment, so nothing says which offer to send; "
            "offer at random first and name it under experiment:"
        )
    _refuse_other_source(source, run.tables)
    verify(run.features)
    table = read_recommendations(run.recommendations)
    file = run.features / "current.parquet"
    lost = np.flatnonzero(is_lost(pd.read_parquet(file, columns=["population"])))
    current = even_rows(file, most=len(lost), among=lost)
    name = name or f"{table['as_of'].max():%Y-%m-%d}"
    if not NAME.fullmatch(name):
        raise Refusal(
            f"campaign: '{name}' cannot name a folder; use letters, digits, '-', '_' and '.'"
        )
    folder = below(campaigns, name)
    facts = {
        "decision": file_hash(run.decision / DECISION_FILE),
        "list": file_hash(run.recommendations),
        "campaign": name,
        "source": source.name,
    }
    with only_one(waiting(folder) if isinstance(folder, Address) else folder):
        if name in published_folders(campaigns):
            return _standing(folder, facts)
        with step(f"campaign {name}"):
            objected = objectors(source, run.tables, current)
            if suppressions is not None:
                as_of = table["as_of"].max()
                with local_copy(suppressions, "suppressions") as file:
                    listed = read_suppressions(file, as_of=as_of, max_age_days=max_age_days)
                objected |= listed_among(listed, current)
            kept = current.loc[~objected, "customer_id"]
            busy = _in_other_campaigns(
                campaigns, source, table["as_of"].max(), params.cooldown_days
            )
            elsewhere = kept.isin(busy)
            table = table[table["customer_id"].isin(kept[~elsewhere])].reset_index(drop=True)
            steps = funnel(
                lost=len(current),
                objected=int(objected.sum()),
                table=table,
                control=decision.control,
                elsewhere=int(elsewhere.sum()),
            )
            if not steps[SENT]:
                raise Refusal(
                    f"campaign: nobody to send an offer to: {_in_words(steps)}; nothing is written"
                )
            log = campaign_log(decision, table, name)
            sheet = send_sheet(decision, table, current, name)
            sent = current[current["customer_id"].isin(sheet["customer_id"])]
            unlike = send_list_drift(run.features, sent, decision.control)
            summary = {
                **facts,
                "drawn_at": moments.now().isoformat(),
                **_summary(decision, log, sheet, steps),
                "notes": [*_notes(decision, params, sheet), *filter(None, [unlike])],
            }
            with replace_folder(folder) as new:
                log.to_parquet(new.path / LOG, index=False)
                sheet.to_parquet(new.path / SEND, index=False)
                write_offer_lists(new.path)
                entries = pd.DataFrame({"step": list(steps), "customers": list(steps.values())})
                save_table(entries, new.path / "funnel.csv")
                (new.path / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
                new.extra.update(
                    facts,
                    drawn_at=summary["drawn_at"],
                    model_version=str(table["model_version"].iloc[0]),
                )
    return summary


def campaign_text(summary: Mapping[str, Any], campaigns: Place) -> str:
    """The summary for a terminal: the funnel, what is sent, and where it lies."""
    offers = pd.DataFrame(summary["offers"]).T.rename_axis("offer").reset_index()
    steps = pd.Series(summary["funnel"]).rename_axis("customers").reset_index(name="number")
    lines = [
        f"Campaign {summary['campaign']}: {summary['funnel'][SENT]:,} customers to contact",
        "",
        steps.to_string(index=False, header=False, formatters={"number": "{:,}".format}),
        "",
        offers.to_string(index=False, float_format="{:,.0f}".format, na_rep=""),
        "",
    ]
    lines += [f"Note: {note}" for note in summary["notes"]]
    folder = below(campaigns, summary["campaign"])
    lines.append(f"To send: {folder}/{SEND}, and a CSV per offer beside it.")
    lines.append(f"To learn from later: {folder}/{LOG}; name {campaigns} under campaigns:.")
    return "\n".join(lines)


def _standing(folder: Place, facts: Mapping[str, str]) -> dict[str, Any]:
    """The summary of a campaign that was drawn before, if it is this one."""
    manifest = stands(folder)
    if {key: manifest.get(key) for key in facts} != dict(facts):
        raise Refusal(
            f"{folder}: a campaign of that name was drawn from another list; campaigns are never "
            "changed, so name this one (--name)"
        )
    say(f"{folder} is this campaign already")
    return read_summary(folder)


def _refuse_other_source(source: Source, tables: Path) -> None:
    """What stands must be of the source whose objections and costs are about to be used."""
    standing = verify(tables).get("source")
    if standing != source.name:
        raise Refusal(
            f"campaign: {tables} holds the source '{standing}', and params.yaml names "
            f"'{source.name}'; winback run"
        )


def _in_other_campaigns(
    campaigns: Place, source: Source, now: pd.Timestamp, cooldown_days: float
) -> pd.Series:
    """Customers whom another campaign contacted, or held out, within the cooldown before `now`."""
    logs = read_logs(campaigns, source.name)
    recent = logs["offered_at"] > now - pd.Timedelta(days=cooldown_days)
    return logs.loc[recent, "customer_id"]


def _summary(
    decision: Decision,
    log: pd.DataFrame,
    sheet: pd.DataFrame,
    steps: Mapping[str, int],
) -> dict[str, Any]:
    offers = {}
    for name in decision.offers:
        mine = sheet[sheet["offer"] == name]
        entry: dict[str, float] = {
            "customers": len(mine),
            "exploring": int(mine["explores"].sum()),
            "returns": float(mine["return_probability"].sum()),
            "returns_without": float(mine["return_probability_without"].sum()),
        }
        for column in ("expected_cost", "expected_gain"):
            if column in mine:
                entry[column] = float(mine[column].sum())
        offers[name] = entry
    return {
        "funnel": dict(steps),
        "held_out": int((log["offer"] == decision.control).sum()),
        "offers": offers,
    }


def _notes(decision: Decision, params: Recommend, sheet: pd.DataFrame) -> list[str]:
    """What the limits allow and what is used of them, and what weakens the forecasts."""
    notes = []
    if params.budget is not None:
        spent = sheet["expected_cost"].sum() if "expected_cost" in sheet else 0.0
        notes.append(f"expected cost {spent:,.0f} of a budget of {params.budget:,.0f}")
    for name, most in params.capacity.items():
        notes.append(f"{name}: {(sheet['offer'] == name).sum():,} of {most:,}")
    if decision.draws.exploration == 0 and decision.draws.exploration_share > 0:
        notes.append("nobody explores: every offer has a capacity")
    if "beyond_experiment" in sheet and sheet["beyond_experiment"].any():
        beyond = sheet[sheet["beyond_experiment"]]
        note = f"{len(beyond):,} customers left longer ago than nine in ten of the experiment's"
        if "expected_gain" in sheet:
            share = beyond["expected_gain"].sum() / sheet["expected_gain"].sum()
            note += f"; {share:.0%} of the expected gain rests on them"
        notes.append(note)
    return notes


def _in_words(steps: Mapping[str, int]) -> str:
    return ", ".join(f"{step} {rows:,}" for step, rows in steps.items())
