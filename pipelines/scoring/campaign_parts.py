"""A campaign drawn from the list, a part of the customers at a time; its rows wait on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...models.decision.campaign import campaign_log, funnel, send_sheet, stops
from ...models.decision.decision import Decision
from ...models.decision.facts import is_of
from ...models.evaluation.drift import Counts, added, bins_of, counted
from ..settings.params import Machine
from ..tables.engine import open_duckdb
from ..tables.list_parts import list_parts, listed_columns
from ..tables.parts import beside, parts_of
from .send_list_drift import send_list_drift, tested_customers
from .suppressions import Suppressions, refuse_everybody


@dataclass(frozen=True)
class Drawn:
    """A campaign, counted, and where its rows wait.

    Attributes
    ----------
    steps
        The funnel.
    held_out
        Customers of the log without an offer.
    sums
        By offer: customers who are sent it; sums of the numbers of the sheet; gain_beyond, the
        expected gain of those beyond the experiment.
    unlike
        Where those sent an offer differ from the experiment; empty where they do not.
    model_version
        Of the list.
    logs, sheets
        Parts of the log and of the sheet, in the order of the customers.
    """

    steps: Mapping[str, int]
    held_out: int
    sums: pd.DataFrame
    unlike: str
    model_version: str
    logs: tuple[Path, ...]
    sheets: tuple[Path, ...]


def draw_campaign(
    decision: Decision,
    recommendations: Path,
    current: Path,
    features: Path,
    *,
    objectors: Sequence[Suppressions],
    busy: pd.Index,
    name: str,
    out: Path,
) -> Drawn:
    """Draw a campaign of today's customers who neither objected nor are in another one.

    Parameters
    ----------
    decision, recommendations
        What the list was made by, of the population that is asked, and the list.
    current
        Features of today's customers in the order of their ids.
    features
        Folder of features, for the customers of the experiment.
    objectors, busy
        Lists of who is not written to, and ids of who is in another campaign, each once.
    name
        Of the campaign.
    out
        Folder of the parts.

    Raises
    ------
    SuppressionsUnusable
        If a list names everybody.
    StoreError
        If the list of recommendations is unusable.
    """
    tested = tested_customers(features, decision.population, decision.control)
    bins = bins_of(tested)
    asked, named, elsewhere, objected = 0, np.zeros(len(objectors), dtype=int), 0, 0
    ended, held_out, version = Counter[str](), 0, ""
    unlike: Counts = {}
    sums: list[pd.DataFrame] = []
    logs: list[Path] = []
    sheets: list[Path] = []
    today = parts_of(current, pq.read_schema(current).names)
    for facts, rows in beside(today, list_parts(recommendations, listed_columns(recommendations))):
        mine = is_of(decision.population, facts)
        facts, rows = facts[mine], rows[mine]
        hits = _objections(facts["customer_id"], objectors)
        away = ~hits.any(axis=0) & facts["customer_id"].astype("str").isin(busy).to_numpy()
        asked, named = asked + len(facts), named + hits.sum(axis=1)
        objected, elsewhere = objected + int(hits.any(axis=0).sum()), elsewhere + int(away.sum())
        kept = ~hits.any(axis=0) & ~away & rows["holdout"].notna().to_numpy()
        if not kept.any():
            continue
        table = rows[kept].infer_objects().reset_index(drop=True)
        ended += stops(table, decision.control)
        log = campaign_log(decision, table, name)
        sheet = send_sheet(decision, table, facts, name)
        if len(log):
            version = version or str(table["model_version"].iloc[0])
            held_out += int((log["offer"] == decision.control).sum())
            logs.append(out / f"log-{len(logs):05d}.parquet")
            log.to_parquet(logs[-1], index=False)
        if len(sheet):
            sent = facts[facts["customer_id"].isin(sheet["customer_id"])]
            unlike = added([unlike, counted(bins, sent)])
            sums = [_added([*sums, _summed(sheet)])]
            sheets.append(out / f"sheet-{len(sheets):05d}.parquet")
            sheet.to_parquet(sheets[-1], index=False)
    for one in named:
        refuse_everybody(int(one), asked)
    return Drawn(
        steps=funnel(
            decision.population, asked, objected=objected, elsewhere=elsewhere, ended=ended
        ),
        held_out=held_out,
        sums=sums[0] if sums else pd.DataFrame(),
        unlike=send_list_drift(tested, unlike) if sheets else "",
        model_version=version,
        logs=tuple(logs),
        sheets=tuple(sheets),
    )


def write_log(parts: Sequence[Path], out: Path) -> None:
    """The parts of a log as one file."""
    with pq.ParquetWriter(out, pq.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))


def write_sheet(parts: Sequence[Path], out: Path, machine: Machine, spill: Path) -> None:
    """The parts of a sheet as one file, the largest gain first, of equal ones the smaller id.

    Without money the gain is in returns, or in customers who stay.
    """
    known = pq.read_schema(parts[0]).names
    chance = "stay" if "stay_probability" in known else "return"
    more = f"{chance}_probability - {chance}_probability_without"
    gain = "expected_gain" if "expected_gain" in known else more
    query = f"copy (from read_parquet($parts) order by {gain} desc, customer_id) to $out"
    with open_duckdb(machine.memory_limit, machine.threads, spill=spill) as connection:
        files = [str(part) for part in parts]
        connection.execute(f"{query} (format parquet)", {"parts": files, "out": str(out)})


def _objections(customers: pd.Series, objectors: Sequence[Suppressions]) -> np.ndarray:
    """(lists, customers) bool: which list names whom."""
    ids = pa.chunked_array([pa.array(customers)])
    hits = [np.asarray(listed.hit(ids).to_numpy(), dtype=bool) for listed in objectors]
    return np.array(hits, dtype=bool).reshape(len(hits), len(customers))


def _summed(sheet: pd.DataFrame) -> pd.DataFrame:
    numbers = sheet.select_dtypes(["number", "bool"]).drop(columns="customer_id", errors="ignore")
    numbers = sheet[["offer"]].join(numbers).assign(customers=1)
    if "expected_gain" in sheet and "beyond_experiment" in sheet:
        numbers["gain_beyond"] = sheet["expected_gain"].where(sheet["beyond_experiment"])
    return numbers.groupby("offer").sum()


def _added(sums: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(sums).groupby(level="offer").sum()
