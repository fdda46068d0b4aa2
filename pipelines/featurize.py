"""Stage featurize: features of the training sets and of today's customers.

Writes `churn.parquet` (many as-of dates, matured labels), `winback.parquet` (one row per offer
made, as it was known then, with what came of it), `leavers.parquet` (customers who left and were
in no experiment), `current.parquet` (everybody now), the data dictionary, and how the churn rate
depends on the definition. A part without the tables it needs is left out, and `_manifest.json`
says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..features.churn_definition import ChurnDefinition
from ..features.families.activity_kinds import activity_kinds
from ..features.families.assemble import dictionary, features, with_features
from ..features.families.attributes import check_columns
from ..features.leavers import leaver_snapshots
from ..features.sensitivity import neighbours, sensitivity
from ..features.snapshots import (
    churn_snapshots,
    current_snapshot,
    offer_snapshots,
    snapshot_dates,
    with_groups,
)
from .job.progress import say, step
from .settings.moments import from_seconds, seconds
from .settings.params import Featurize, Machine
from .settings.sources import Experiment, Source, made_from
from .storage.atomic import NewFolder, manifest_digest, verify
from .storage.places import Place, replace_folder
from .storage.stage_inputs import write_inputs
from .tables import frames
from .tables.customer_ranges import CustomerRanges
from .tables.engine import open_duckdb


@dataclass(frozen=True)
class Setting:
    """What every part needs: the tables, the moment that counts as now, and how to look back."""

    connection: Any
    tables: Mapping[str, nw.LazyFrame]
    control: str | None
    now: int
    definition: ChurnDefinition
    windows_days: tuple[int, ...]
    deny: Mapping[str, str]
    leave_out: tuple[str, ...]
    allowed: tuple[str, ...]
    kinds: tuple[str, ...]

    def feature_tables(self, tables: Mapping[str, nw.LazyFrame]) -> Mapping[str, nw.LazyFrame]:
        """Tables for the features: `offers` without the rows of the control."""
        if self.control is None or "offers" not in tables:
            return tables
        return {**tables, "offers": tables["offers"].filter(nw.col("offer") != self.control)}


def featurize(
    source: Source, params: Featurize, machine: Machine, *, tables: Path, out: Place
) -> None:
    """Build every part that the source's tables allow, and write them together."""
    setting = _setting(source, params, machine, tables)
    skipped = {}
    with replace_folder(out) as new:
        (new.path / "dictionary.json").write_text(json.dumps(_dictionary(setting), indent=1))
        if source.churn is None:
            skipped["churn"] = f"{source.path} does not say when a customer is lost (churn:)"
        elif source.churn.dated and not {"orders", "departures"} & set(setting.tables):
            skipped["churn"] = "neither orders nor departures tell who left"
        else:
            with step("features of the churn training set"):
                _churn(source, params, setting, new)
        if source.experiment is None:
            skipped["winback"] = f"{source.path} names no randomized experiment (experiment:)"
        elif "offers" not in setting.tables:
            skipped["winback"] = "there is no table of offers"
        elif _empty(setting.tables["offers"]):
            skipped["winback"] = "the table of offers has no rows"
        else:
            with step("features of the customers who were made an offer"):
                _winback(source.experiment, setting, new)
            with step("features of leavers who were in no experiment"):
                _leavers(source.experiment, setting, new)
        with step("features of today's customers"):
            _today(setting, setting.now, new.path / "current.parquet")
        write_inputs(new.path)
        new.extra.update(
            as_of=str(from_seconds(setting.now)),
            skipped=skipped,
            made_from=made_from(source, params, manifest_digest(tables)),
        )
    for part, why in skipped.items():
        say(f"{part}: left out, {why}")


def _empty(table: nw.LazyFrame) -> bool:
    return not int(table.select(nw.len()).collect().item())


def featurize_today(
    source: Source,
    params: Featurize,
    machine: Machine,
    *,
    tables: Path,
    as_of: datetime | None,
    out: Path,
) -> None:
    """The features of everybody at a moment (UTC, naive), or at that of the tables, as one file."""
    setting = _setting(source, params, machine, tables)
    _today(setting, setting.now if as_of is None else seconds(as_of), out)


def _today(setting: Setting, now: int, path: Path) -> None:
    _write(
        setting,
        lambda tables: current_snapshot(tables, now=now, definition=setting.definition),
        path,
    )


def _setting(source: Source, params: Featurize, machine: Machine, folder: Path) -> Setting:
    connection = open_duckdb(machine.memory_limit, machine.threads)
    tables = frames.open_tables(folder, session=connection)
    as_of = verify(folder).get("as_of")
    attributes = tables["attributes"].collect_schema().names() if "attributes" in tables else []
    label = source.churn.column if source.churn else None
    unused = (*source.protected, *([label] if label else []))
    leave_out = tuple(name for name in unused if name in attributes)
    deny = dict.fromkeys(source.known_afterwards, "known only after the outcome")
    check_columns(tables, deny=deny, leave_out=leave_out, allowed=source.allowed)
    return Setting(
        connection=connection,
        tables=tables,
        control=None if source.experiment is None else source.experiment.control,
        now=seconds(as_of) if as_of else frames.last_event(tables),
        definition=source.churn or ChurnDefinition(),
        windows_days=params.windows_days,
        deny=deny,
        leave_out=leave_out,
        allowed=source.allowed,
        kinds=activity_kinds(tables),
    )


def _churn(source: Source, params: Featurize, setting: Setting, new: NewFolder) -> None:
    if not setting.definition.dated:
        _write(
            setting,
            lambda tables: churn_snapshots(
                tables, dates=(), definition=setting.definition, now=setting.now
            ),
            new.path / "churn.parquet",
        )
        return
    dates = snapshot_dates(
        now=setting.now,
        count=params.snapshots,
        every_days=params.snapshot_every_days,
        definition=setting.definition,
    )
    if source.observed_from is not None:
        first = seconds(source.observed_from)
        dates = tuple(date for date in dates if date >= first) or (first,)
    _write(
        setting,
        lambda tables: churn_snapshots(
            tables, dates=dates, definition=setting.definition, now=setting.now
        ),
        new.path / "churn.parquet",
        snapshots_each=len(dates),
    )
    table = sensitivity(
        setting.tables, neighbours(setting.definition), start=dates[0], end=setting.now
    )
    frames.write(table, new.path / "sensitivity.parquet", sort_by=("definition",))


def _winback(experiment: Experiment, setting: Setting, new: NewFolder) -> None:
    costs = {experiment.control: 0} | {
        name: offer.cents_on_acceptance for name, offer in experiment.offers.items()
    }
    _write(
        setting,
        lambda tables: offer_snapshots(
            tables,
            now=setting.now,
            definition=setting.definition,
            return_window_days=experiment.return_window_days,
            value_horizon_days=experiment.value_horizon_days,
            costs=costs,
        ),
        new.path / "winback.parquet",
    )


def _leavers(experiment: Experiment, setting: Setting, new: NewFolder) -> None:
    """Write leavers at the median lapse that customers of the experiment had at their offer."""
    path = new.path / "winback.parquet"
    if "days_since_departure" not in pq.read_schema(path).names:
        return
    tested = pq.read_table(path, columns=["days_since_departure"])
    lapse = pc.quantile(tested["days_since_departure"], 0.5)[0].as_py()
    if lapse is None:
        return
    last_offer = setting.tables["offers"].select(nw.col("offered_at").max()).collect()
    _write(
        setting,
        lambda tables: leaver_snapshots(
            tables,
            now=setting.now,
            definition=setting.definition,
            last_offered_at=int(last_offer["offered_at"].to_list()[0]),
            lapse_days=round(lapse),
            return_window_days=experiment.return_window_days,
        ),
        new.path / "leavers.parquet",
    )


def _write(
    setting: Setting,
    snapshots: Callable[[Mapping[str, nw.LazyFrame]], nw.LazyFrame],
    path: Path,
    *,
    snapshots_each: int = 1,
) -> None:
    ranges = CustomerRanges(setting.connection, setting.tables, snapshots_each=snapshots_each)
    kept = ranges.keep(with_groups(ranges.tables, snapshots(ranges.tables)))
    rows = features(
        setting.feature_tables(ranges.tables),
        kept,
        windows_days=setting.windows_days,
        definition=setting.definition,
        deny=setting.deny,
        leave_out=setting.leave_out,
        allowed=setting.allowed,
        kinds=setting.kinds,
        keep=ranges.keep,
    )
    ranges.write(with_features(kept, rows), path)


def _dictionary(setting: Setting) -> list[dict[str, str]]:
    entries = dictionary(
        setting.feature_tables(setting.tables),
        windows_days=setting.windows_days,
        definition=setting.definition,
        leave_out=setting.leave_out,
        allowed=setting.allowed,
        kinds=setting.kinds,
    )
    return [dict(entry) for entry in entries]
