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

import pandas as pd

from ..models.decision.campaign import SENT
from ..models.decision.decision import DECISION_FILE, Decision
from .job.exit_codes import Refusal
from .job.lock import only_one
from .job.progress import say, step
from .reporting import words
from .scoring.campaign_parts import Drawn, draw_campaign, write_log, write_sheet
from .scoring.suppressions import read_suppressions, suppressions_of
from .settings import moments
from .settings.params import Machine, Recommend
from .settings.source_files import made_from
from .settings.sources import EXPERIMENTS, Population, Source
from .storage.atomic import file_hash, scratch_beside, verify
from .storage.places import Address, Place, local_copy, replace_folder, waiting
from .storage.shared_files import below, published_folders, stands
from .storage.trained_models import read_decision
from .tables.campaign_files import (
    LOG,
    SEND,
    SUMMARY,
    contacted_since,
    read_summary,
    write_offer_lists,
)
from .tables.list_parts import moment_of
from .tables.safe_csv import save_table
from .tables.sorted_customers import sorted_customers

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
    machine: Machine,
    run: ListInputs,
    *,
    population: Population,
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
    machine
        Limits of DuckDB, which sorts.
    run
        What `winback run` left.
    population
        Whose: customers who are lost, or who are active and may be kept.
    campaigns
        Folder of all campaigns, of this machine or in an object store.
    name
        Of this one; None takes the day of the data, with "-active" of active customers.
    suppressions
        A list of objections that is newer than the tables, beside that of the tables.
    max_age_days
        Of that list.

    Raises
    ------
    Refusal
        If there is no experiment to choose offers by, nobody to send to, another campaign of that
        name, or one that another machine drew meanwhile.
    LockHeld
        If another job on this machine draws a campaign there, of whatever name.
    SuppressionsUnusable, StoreError
        If a list of objections or what the pipeline left is unusable.
    """
    decision = _decision_on(population, source, run.decision)
    _refuse_other_source(source, run.tables)
    if verify(run.decision).get("made_from") != made_from(source, params):
        raise Refusal(
            f"{run.recommendations}: decided under other settings of recommend, or another text of "
            f"{source.path}; run winback run"
        )
    as_of = moment_of(run.recommendations)
    if verify(run.features)["as_of"] != str(as_of):
        raise Refusal(f"{run.recommendations}: older than the features; run winback run")
    name = name or f"{as_of:%Y-%m-%d}" + ("-active" if population == "active" else "")
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
    if population == "active":
        facts["population"] = population
    here = waiting(folder) if isinstance(folder, Address) else folder
    # One lock for all names, since each leaves out who is in the others.
    drawing = waiting(campaigns) if isinstance(campaigns, Address) else campaigns / "campaign"
    # Before anything is looked at, a scratch folder removes what a killed job left of its own.
    with only_one(drawing), scratch_beside(here, "parts") as scratch:
        before = published_folders(campaigns)
        if name in before:
            return _standing(folder, facts)
        with step(f"campaign {name}"):
            lists = [suppressions_of(source, run.tables, as_of)]
            with local_copy(suppressions, "suppressions") as newer:
                if newer is not None:
                    known = read_suppressions(newer, as_of=as_of, max_age_days=max_age_days)
                    lists.append(known)
            since = as_of - pd.Timedelta(days=params.cooldown_days)
            drawn = draw_campaign(
                decision,
                run.recommendations,
                sorted_customers(run.features / "current.parquet", machine, scratch),
                run.features,
                objectors=[one for one in lists if one is not None],
                busy=contacted_since(campaigns, source.name, since),
                name=name,
                out=scratch,
            )
            if not drawn.steps[SENT]:
                raise Refusal(
                    f"campaign: nobody to send an offer to: {_in_words(drawn.steps)}; nothing is "
                    "written"
                )
            summary = {
                **facts,
                "drawn_at": moments.now().isoformat(),
                **_summary(decision, drawn),
                "notes": [*_notes(decision, params, drawn.sums), *filter(None, [drawn.unlike])],
            }
            with replace_folder(folder) as new:
                write_log(drawn.logs, new.path / LOG)
                write_sheet(drawn.sheets, new.path / SEND, machine, scratch)
                write_offer_lists(new.path)
                steps = pd.Series(drawn.steps).rename_axis("step").reset_index(name="customers")
                save_table(steps, new.path / "funnel.csv")
                (new.path / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
                if published_folders(campaigns) != before:  # another machine was quicker
                    raise Refusal(
                        f"{campaigns}: changed meanwhile, and its campaigns say who is left out; "
                        "draw this one again"
                    )
                new.extra.update(
                    facts, drawn_at=summary["drawn_at"], model_version=drawn.model_version
                )
    return summary


def campaign_text(summary: Mapping[str, Any], campaigns: Place) -> str:
    """The summary for a terminal: the funnel, what is sent, and where it lies."""
    offers = pd.DataFrame(summary["offers"]).T.rename_axis("offer").reset_index()
    steps = pd.Series(summary["funnel"]).rename_axis("customers").reset_index(name="number")
    count = summary["funnel"][SENT]
    lines = [
        f"Campaign {summary['campaign']}: {count:,} {words.customers(count)} to contact",
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
    manifest = stands(folder)  # of lost customers it names no population
    if {key: manifest.get(key) for key in {*facts, "population"}} != {"population": None, **facts}:
        raise Refusal(
            f"{folder}: a campaign of that name was drawn from another list; campaigns are never "
            "changed, so name this one (--name)"
        )
    say(f"{folder} is this campaign already")
    return read_summary(folder)


def _decision_on(population: Population, source: Source, folder: Path) -> Decision:
    """The decision that the list was made by, on that population."""
    decision = read_decision(folder)
    known = {"active": decision.retention} | ({"lost": decision} if decision.offers else {})
    if found := known.get(population):
        return found
    instead = [f", or --population {other}" for other, one in known.items() if one]
    raise Refusal(
        f"campaign: {source.path} has no experiment among {population} customers, so nothing says "
        "which offer to send; offer at random first and name it under "
        f"{EXPERIMENTS[population]}:{''.join(instead)}"
    )


def _refuse_other_source(source: Source, tables: Path) -> None:
    """What stands must be of the source whose objections and costs are about to be used."""
    standing = verify(tables).get("source")
    if standing != source.name:
        raise Refusal(
            f"campaign: {tables} holds the source '{standing}', and params.yaml names "
            f"'{source.name}'; winback run"
        )


def _summary(decision: Decision, drawn: Drawn) -> dict[str, Any]:
    sums = drawn.sums.reindex(list(decision.offers), fill_value=0)
    said = decision.chances.removesuffix("_probability_")
    offers = {}
    for name, mine in sums.to_dict("index").items():
        entry = {
            "customers": int(mine["customers"]),
            "exploring": int(mine["explores"]),
            f"{said}s": float(mine[f"{said}_probability"]),
            f"{said}s_without": float(mine[f"{said}_probability_without"]),
        }
        money = [column for column in ("expected_cost", "expected_gain") if column in mine]
        offers[name] = entry | {column: float(mine[column]) for column in money}
    return {"funnel": dict(drawn.steps), "held_out": drawn.held_out, "offers": offers}


def _notes(decision: Decision, params: Recommend, sums: pd.DataFrame) -> list[str]:
    """What the limits allow and what is used of them, and what weakens the forecasts."""
    notes = []
    if params.budget is not None:
        spent = sums["expected_cost"].sum() if "expected_cost" in sums else 0.0
        notes.append(f"expected cost {spent:,.0f} of a budget of {params.budget:,.0f}")
    for name, most in params.capacity.items():
        if name in decision.offers:
            notes.append(f"{name}: {sums['customers'].get(name, 0):,} of {most:,}")
    if decision.draws.exploration == 0 and decision.draws.exploration_share > 0:
        notes.append("nobody explores: every offer has a capacity")
    if "beyond_experiment" in sums and sums["beyond_experiment"].any():
        beyond = sums["beyond_experiment"].sum()
        note = (
            f"{beyond:,} {words.customers(beyond)} left longer ago than nine in ten of the "
            "experiment's"
        )
        if "expected_gain" in sums:
            share = sums["gain_beyond"].sum() / sums["expected_gain"].sum()
            note += f"; {share:.0%} of the expected gain rests on them"
        notes.append(note)
    return notes


def _in_words(steps: Mapping[str, int]) -> str:
    return ", ".join(f"{step} {rows:,}" for step, rows in steps.items())
