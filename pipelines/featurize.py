"""Stage featurize: features of the training sets and of today's customers.

Writes `churn.parquet` (many as-of dates, matured labels), `winback.parquet` (one row per offer
made, as it was known then, with what came of it), `leavers.parquet` (customers who left and were
in no experiment), `retention.parquet` (one row per offer made to an active customer),
`current.parquet` (everybody now), the data dictionary, and how the churn rate depends on the
definition. A part without the tables it needs is left out, and `_manifest.json`
says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..features.churn_definition import ChurnDefinition
from ..features.expressions import distinct
from ..features.families.activity_kinds import activity_kinds
from ..features.families.assemble import dictionary, features, with_features
from ..features.families.attributes import check_columns
from ..features.leavers import leaver_snapshots
from ..features.offer_snapshots import offer_snapshots, retention_snapshots
from ..features.sensitivity import churn_counts as counts_of
from ..features.sensitivity import neighbours, rates
from ..features.snapshots import churn_snapshots, current_snapshot, snapshot_dates, with_groups
from .job.progress import say, step
from .settings.experiments import Experiment
from .settings.moments import from_seconds, seconds
from .settings.params import Featurize, Machine
from .settings.source_files import made_from
from .settings.sources import Source
from .storage.atomic import NewFolder, manifest_digest
from .storage.places import Address, Place, replace_folder, waiting
from .storage.stage_inputs import write_inputs
from .tables import frames
from .tables.customer_ranges import CustomerRanges
from .tables.standing_tables import standing_tables

SENSITIVITY = "sensitivity.parquet"
LAPSE = "days_since_departure"


@dataclass(frozen=True)
class Setting:
    """What every part needs: the tables, the moment that counts as now, and how to look back."""

    connection: Any
    tables: Mapping[str, nw.LazyFrame]
    controls: tuple[str, ...]
    now: int
    definition: ChurnDefinition
    windows_days: tuple[int, ...]
    deny: Mapping[str, str]
    leave_out: tuple[str, ...]
    allowed: tuple[str, ...]
    kinds: tuple[str, ...]

    def feature_tables(self, tables: Mapping[str, nw.LazyFrame]) -> Mapping[str, nw.LazyFrame]:
        """Tables for the features: `offers` without the rows of the controls."""
        if not self.controls or "offers" not in tables:
            return tables
        sent = [nw.col("offer") != control for control in self.controls]
        return {**tables, "offers": tables["offers"].filter(*sent)}


def featurize(
    source: Source, params: Featurize, machine: Machine, *, tables: Path, out: Place
) -> None:
    """Build every part that the source's tables allow, and write them together."""
    here = waiting(out) if isinstance(out, Address) else out
    with (
        _setting(source, params, machine, tables, here) as setting,
        replace_folder(out) as new,
    ):
        skipped = left_out(source, setting.tables, offers=offers_made(setting.tables.get("offers")))
        if "churn" not in skipped:
            with step("features of the churn training set"):
                write_churn(source, params, setting, new.path / "churn.parquet")
            if setting.definition.dated:
                counts = churn_counts(source, params, setting)
                frames.write(rates(counts), new.path / SENSITIVITY, sort_by=("definition",))
        if source.experiment is not None and "winback" not in skipped:
            with step("features of the customers who were made an offer"):
                write_winback(source.experiment, setting, new.path / "winback.parquet")
            with step("features of leavers who were in no experiment"):
                lapse = median_lapse([new.path / "winback.parquet"])
                if lapse is not None:
                    last = last_offer(offers_of(source.experiment, setting.tables)["offers"])
                    leavers = new.path / "leavers.parquet"
                    write_leavers(source.experiment, setting, leavers, lapse=lapse, last=last)
        if source.retention is not None and "retention" not in skipped:
            with step("features of the active customers who were made an offer"):
                write_retention(source, setting, new.path / "retention.parquet")
        with step("features of today's customers"):
            write_today(setting, setting.now, new.path / "current.parquet")
        describe(new, source, params, setting, skipped, tables=manifest_digest(tables))
        write_inputs(new.path)


def describe(
    new: NewFolder,
    source: Source,
    params: Featurize,
    setting: Setting,
    skipped: Mapping[str, str],
    *,
    tables: str,
) -> None:
    """Write the data dictionary, and what the manifest says; `tables` is the digest of theirs."""
    (new.path / "dictionary.json").write_text(json.dumps(_dictionary(setting), indent=1))
    new.extra.update(
        as_of=str(from_seconds(setting.now)),
        skipped=skipped,
        made_from=made_from(source, params, tables),
    )
    for part, why in skipped.items():
        say(f"{part}: left out, {why}")


def offers_made(offers: nw.LazyFrame | None) -> set[str]:
    """The names that stand in the table of offers; none without one."""
    if offers is None:
        return set()
    return set(distinct(offers, "offer").collect()["offer"].to_list())


def left_out(source: Source, tables: Collection[str], *, offers: Collection[str]) -> dict[str, str]:
    """Which of churn, winback and retention cannot be made of tables of these names, and why.

    `offers` are the names that stand in the table of offers.
    """
    skipped = {}
    if source.churn is None:
        skipped["churn"] = f"{source.path} does not say when a customer is lost (churn:)"
    elif source.churn.dated and not {"orders", "departures"} & set(tables):
        skipped["churn"] = "neither orders nor departures tell who left"
    if source.experiment is None:
        skipped["winback"] = f"{source.path} names no randomized experiment (experiment:)"
    elif "offers" not in tables:
        skipped["winback"] = "there is no table of offers"
    elif not {*offers} & {*source.experiment.offer_names}:
        skipped["winback"] = f"the table of offers has no rows{_of(source.experiment, offers)}"
    retained = source.retention_experiment
    if retained is not None and "churn" in skipped:
        skipped["retention"] = skipped["churn"]
    elif retained is not None and not {*offers} & {*retained.offer_names}:
        skipped["retention"] = f"the table of offers has no rows{_of(retained, offers)}"
    return skipped


def _of(experiment: Experiment, offers: Collection[str]) -> str:
    return f" of {', '.join(experiment.offer_names)}" if offers else ""


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
    with _setting(source, params, machine, tables, out) as setting:
        write_today(setting, setting.now if as_of is None else seconds(as_of), out)


def write_today(setting: Setting, now: int, path: Path) -> None:
    """Write the features of everybody at a moment (UTC seconds)."""
    _write(
        setting,
        lambda ranges: current_snapshot(ranges.tables, now=now, definition=setting.definition),
        path,
    )


@contextmanager
def _setting(
    source: Source, params: Featurize, machine: Machine, folder: Path, out: Path
) -> Iterator[Setting]:
    """The setting of a folder of tables."""
    with standing_tables(folder, machine, beside=out) as (connection, tables, now):
        yield setting_of(source, params, connection, tables, now=now, seen=tables)


def setting_of(
    source: Source,
    params: Featurize,
    connection: Any,
    tables: Mapping[str, nw.LazyFrame],
    *,
    now: int,
    seen: Mapping[str, nw.LazyFrame],
) -> Setting:
    """What a source and its tables say, to be true of any part of its customers.

    Parameters
    ----------
    connection, tables
        Those of the setting: their columns are looked at.
    seen
        Frames of all rows of attributes and activity, where there are any, whose values are.

    Raises
    ------
    ValueError
        If a column must not be a feature.
    """
    attributes = tables["attributes"].collect_schema().names() if "attributes" in tables else []
    label = source.churn.column if source.churn else None
    unused = (*source.protected, *([label] if label else []))
    leave_out = tuple(name for name in unused if name in attributes)
    deny = dict.fromkeys(source.known_afterwards, "known only after the outcome")
    check_columns(seen, deny=deny, leave_out=leave_out, allowed=source.allowed)
    return Setting(
        connection=connection,
        tables=tables,
        controls=tuple(one.control for one in (source.experiment, source.retention) if one),
        now=now,
        definition=source.churn or ChurnDefinition(),
        windows_days=params.windows_days,
        deny=deny,
        leave_out=leave_out,
        allowed=source.allowed,
        kinds=activity_kinds(seen),
    )


def write_churn(source: Source, params: Featurize, setting: Setting, path: Path) -> None:
    """Write the training set of the churn model."""
    dates = _dates(source, params, setting) if setting.definition.dated else ()
    _write(
        setting,
        lambda ranges: churn_snapshots(
            ranges.tables, dates=dates, definition=setting.definition, now=setting.now
        ),
        path,
        snapshots_each=len(dates) or 1,
    )


def churn_counts(source: Source, params: Featurize, setting: Setting) -> nw.LazyFrame:
    """How many left under the definition and its neighbours (`features.sensitivity`)."""
    start = _dates(source, params, setting)[0]
    definitions = neighbours(setting.definition)
    return counts_of(setting.tables, definitions, start=start, end=setting.now)


def _dates(source: Source, params: Featurize, setting: Setting) -> tuple[int, ...]:
    dates = snapshot_dates(
        now=setting.now,
        count=params.snapshots,
        every_days=params.snapshot_every_days,
        definition=setting.definition,
    )
    if source.observed_from is not None:
        first = seconds(source.observed_from)
        dates = tuple(date for date in dates if date >= first) or (first,)
    return dates


def offers_of(
    experiment: Experiment, tables: Mapping[str, nw.LazyFrame]
) -> Mapping[str, nw.LazyFrame]:
    """Tables with the offers of one experiment alone: its names are its own."""
    mine = nw.col("offer").is_in(list(experiment.offer_names))
    return {**tables, "offers": tables["offers"].filter(mine)}


def write_winback(experiment: Experiment, setting: Setting, path: Path) -> None:
    """Write one row for each offer made to win customers back."""
    _write(
        setting,
        lambda ranges: offer_snapshots(
            offers_of(experiment, ranges.tables),
            now=setting.now,
            definition=setting.definition,
            return_window_days=experiment.return_window_days,
            value_horizon_days=experiment.value_horizon_days,
            costs=_costs(experiment),
            keep=ranges.keep,
        ),
        path,
    )


def write_retention(source: Source, setting: Setting, path: Path) -> None:
    """Write one row for each offer made to an active customer."""
    experiment = source.retention_experiment
    assert experiment is not None
    _write(
        setting,
        lambda ranges: retention_snapshots(
            offers_of(experiment, ranges.tables),
            now=setting.now,
            definition=setting.definition,
            value_horizon_days=experiment.value_horizon_days,
            costs=_costs(experiment),
            keep=ranges.keep,
        ),
        path,
    )


def _costs(experiment: Experiment) -> dict[str, int]:
    """Cents on acceptance by name."""
    return {experiment.control: 0} | {
        name: offer.cents_on_acceptance for name, offer in experiment.offers.items()
    }


def median_lapse(winback: Iterable[Any]) -> int | None:
    """Days from the loss to the offer, the median of these files; None if nobody can tell."""
    lapses = []
    for file in winback:
        reader = pq.ParquetFile(file)
        if LAPSE in reader.schema_arrow.names:
            lapses.append(reader.read(columns=[LAPSE])[LAPSE])
    if not lapses:
        return None
    chunks = [chunk for lapse in lapses for chunk in lapse.chunks]
    lapse = pc.quantile(pa.chunked_array(chunks, lapses[0].type), 0.5)[0].as_py()
    return None if lapse is None else round(lapse)


def last_offer(offers: nw.LazyFrame) -> int:
    """The time of the last offer to anybody, in UTC seconds."""
    return int(offers.select(nw.col("offered_at").max()).collect()["offered_at"].to_list()[0])


def write_leavers(
    experiment: Experiment, setting: Setting, path: Path, *, lapse: int, last: int
) -> None:
    """Write leavers `lapse` days after they left, where that is after the `last` offer."""
    _write(
        setting,
        lambda ranges: leaver_snapshots(
            offers_of(experiment, ranges.tables),
            now=setting.now,
            definition=setting.definition,
            last_offered_at=last,
            lapse_days=lapse,
            return_window_days=experiment.return_window_days,
        ),
        path,
    )


def _write(
    setting: Setting,
    snapshots: Callable[[CustomerRanges], nw.LazyFrame],
    path: Path,
    *,
    snapshots_each: int = 1,
) -> None:
    ranges = CustomerRanges(setting.connection, setting.tables, snapshots_each=snapshots_each)
    kept = ranges.keep(with_groups(ranges.tables, snapshots(ranges)))
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
