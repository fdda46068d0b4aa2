"""Stage featurize: as-of features of the training sets and of the customers of today.

Writes `churn.parquet` (many as-of dates, matured labels), `winback.parquet` (one row per offer
made, as it was known then, with what came of it), `leavers.parquet` (customers who left and were
in no experiment), `current.parquet` (everybody now), the data dictionary, and how the churn rate
depends on the definition. A part without the tables it needs is left out, and `manifest.json`
says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import narwhals as nw
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..features.assemble import dictionary, features, with_features
from ..features.definition import ChurnDefinition
from ..features.kinds import activity_kinds
from ..features.leavers import leaver_snapshots
from ..features.sensitivity import neighbours, sensitivity
from ..features.snapshots import (
    churn_snapshots,
    current_snapshot,
    offer_snapshots,
    snapshot_dates,
)
from . import frames
from .params import Featurize, Machine
from .progress import say, step
from .sources import Experiment, Source
from .store import NewFolder, replace_folder, verify


@dataclass(frozen=True)
class Setting:
    """What every part needs: the tables, the moment that counts as now, and how to look back.

    `told` are the tables as the features see them: to be offered nothing is no offer.
    """

    tables: Mapping[str, nw.LazyFrame]
    told: Mapping[str, nw.LazyFrame]
    now: int
    definition: ChurnDefinition
    windows_days: tuple[int, ...]
    deny: Mapping[str, str]
    leave_out: tuple[str, ...]
    kinds: tuple[str, ...]


def featurize(
    source: Source, params: Featurize, machine: Machine, *, tables: Path, out: Path
) -> None:
    """Build every part that the source's tables allow, and write them together."""
    setting = _setting(source, params, machine, tables)
    skipped = {}
    with replace_folder(out) as new:
        (new.path / "dictionary.json").write_text(json.dumps(_dictionary(setting), indent=1))
        if source.churn is None:
            skipped["churn"] = f"{source.path} does not say when a customer is lost (churn:)"
        elif not {"orders", "departures"} & set(setting.tables):
            skipped["churn"] = "neither orders nor departures tell who left"
        else:
            with step("features of the churn training set"):
                _churn(source, params, setting, new)
        if source.experiment is None:
            skipped["winback"] = f"{source.path} names no randomized experiment (experiment:)"
        elif "offers" not in setting.tables:
            skipped["winback"] = "there is no table of offers"
        else:
            with step("features of the customers who were made an offer"):
                _winback(source.experiment, setting, new)
            with step("features of leavers who were in no experiment"):
                _leavers(source.experiment, setting, new)
        with step("features of today's customers"):
            _today(setting, setting.now, new.path / "current.parquet")
        new.extra.update(as_of=str(frames.moment(setting.now)), skipped=skipped)
    for part, why in skipped.items():
        say(f"{part}: left out, {why}")


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
    _today(setting, setting.now if as_of is None else frames.seconds(as_of), out)


def _today(setting: Setting, now: int, path: Path) -> None:
    snapshots = current_snapshot(setting.tables, now=now, definition=setting.definition)
    _write(setting, snapshots, path)


def _setting(source: Source, params: Featurize, machine: Machine, folder: Path) -> Setting:
    tables = frames.open_tables(folder, memory_limit=machine.memory_limit, threads=machine.threads)
    as_of = verify(folder).get("as_of")
    attributes = tables["attributes"].collect_schema().names() if "attributes" in tables else []
    told = dict(tables)
    if source.experiment is not None and "offers" in tables:
        told["offers"] = tables["offers"].filter(nw.col("offer") != source.experiment.control)
    return Setting(
        tables=tables,
        told=told,
        now=frames.seconds(as_of) if as_of else frames.last_event(tables),
        definition=source.churn or ChurnDefinition(),
        windows_days=params.windows_days,
        deny=dict.fromkeys(source.known_afterwards, "known only after the outcome"),
        leave_out=tuple(name for name in source.protected if name in attributes),
        kinds=activity_kinds(tables),
    )


def _churn(source: Source, params: Featurize, setting: Setting, new: NewFolder) -> None:
    dates = snapshot_dates(
        now=setting.now,
        count=params.snapshots,
        every_days=params.snapshot_every_days,
        definition=setting.definition,
    )
    if source.observed_from is not None:
        first = frames.seconds(source.observed_from)
        dates = tuple(date for date in dates if date >= first) or (first,)
    snapshots = churn_snapshots(
        setting.tables, dates=dates, definition=setting.definition, now=setting.now
    )
    _write(setting, snapshots, new.path / "churn.parquet")
    table = sensitivity(
        setting.tables, neighbours(setting.definition), start=dates[0], end=setting.now
    )
    frames.write(table, new.path / "sensitivity.parquet", sort_by=("definition",))


def _winback(experiment: Experiment, setting: Setting, new: NewFolder) -> None:
    snapshots = offer_snapshots(
        setting.tables,
        now=setting.now,
        definition=setting.definition,
        return_window_days=experiment.return_window_days,
        value_horizon_days=experiment.value_horizon_days,
        costs={experiment.control: 0}
        | {
            name: round(100 * offer.cost_on_acceptance) for name, offer in experiment.offers.items()
        },
    )
    _write(setting, snapshots, new.path / "winback.parquet")


def _leavers(experiment: Experiment, setting: Setting, new: NewFolder) -> None:
    """As long after they left as the customers of the experiment when they were met."""
    path = new.path / "winback.parquet"
    if "days_since_departure" not in pq.read_schema(path).names:
        return
    tested = pq.read_table(path, columns=["days_since_departure"])
    lapse = pc.quantile(tested["days_since_departure"], 0.5)[0].as_py()
    if lapse is None:
        return
    snapshots = leaver_snapshots(
        setting.tables,
        now=setting.now,
        definition=setting.definition,
        lapse_days=round(lapse),
        return_window_days=experiment.return_window_days,
    )
    if snapshots is not None:
        _write(setting, snapshots, new.path / "leavers.parquet")


def _write(setting: Setting, snapshots: nw.LazyFrame, path: Path) -> None:
    kept = frames.persist(snapshots)
    rows = features(
        setting.told,
        kept,
        windows_days=setting.windows_days,
        definition=setting.definition,
        deny=setting.deny,
        leave_out=setting.leave_out,
        kinds=setting.kinds,
        keep=frames.persist,
    )
    frames.write(with_features(kept, rows), path)


def _dictionary(setting: Setting) -> list[dict[str, str]]:
    entries = dictionary(
        setting.told,
        windows_days=setting.windows_days,
        definition=setting.definition,
        leave_out=setting.leave_out,
        kinds=setting.kinds,
    )
    return [dict(entry) for entry in entries]
