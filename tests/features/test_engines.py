"""DuckDB, pandas and Polars give the same frames of a simulated world, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_tables import on_engine, opened_on, written

from winback.features.churn_definition import ChurnDefinition
from winback.features.families.assemble import features, with_features
from winback.features.offer_snapshots import offer_snapshots
from winback.features.snapshots import churn_snapshots, current_snapshot, snapshot_dates
from winback.models.simulation.simulate import simulate
from winback.models.simulation.world import World
from winback.pipelines.tables import frames
from winback.pipelines.tables.engine import open_duckdb

CONTRACT = ChurnDefinition(grace_days=5, resign_gap_days=20, lead_days=7, horizon_days=60)
SILENCE = ChurnDefinition(kind="inactivity", inactive_days=45, gap_multiple=1.5)
KINDS = ("premium", "usage")
PARTS = ("churn", "winback", "current")
WINDOWS_DAYS = (30, 90, 360)
MONEY = pa.decimal128(18, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, rows in simulate(World(scale=0.002), seed=4).tables.items():
        table = pa.Table.from_pandas(rows, preserve_index=False)
        for column in frames.MONEY.get(name, ()):
            if column in table.column_names:
                place = table.column_names.index(column)
                table = table.set_column(place, column, table.column(column).cast(MONEY))
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def parts(
    tables: Any, definition: ChurnDefinition, keep: Callable[[Any], Any] = lambda frame: frame
) -> dict[str, Any]:
    now = frames.last_event(tables)
    dates = snapshot_dates(now=now, count=3, every_days=120, definition=definition)
    make = {
        "churn": lambda: churn_snapshots(tables, dates=dates, definition=definition, now=now),
        "winback": lambda: offer_snapshots(
            tables, now=now, definition=definition, return_window_days=90, value_horizon_days=730,
            costs={"none": 0, "discount": 12_000},
        ),
        "current": lambda: current_snapshot(tables, now=now, definition=definition),
    }  # fmt: skip
    found = {}
    for name in PARTS:
        snapshots = keep(make[name]())
        columns = features(
            tables,
            snapshots,
            windows_days=WINDOWS_DAYS,
            definition=definition,
            kinds=KINDS,
            keep=keep,
        )
        found[name] = written(with_features(snapshots, columns))
    return found


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, frame in found.items():
        assert len(frame) > 50
        pd.testing.assert_frame_equal(frame, wanted[name], check_exact=True)


@pytest.fixture(scope="module")
def on_duckdb(folder: Path) -> dict[str, dict[str, Any]]:
    session = open_duckdb("1GB", 1, spill=None)
    tables = frames.open_tables(folder, session=session)

    def keep(frame: Any) -> Any:
        # As the stage does: one plan of snapshots and features took DuckDB five seconds to make.
        return on_engine("duckdb", frame.collect(backend="pyarrow").to_native(), session)

    return {one.kind: parts(tables, one, keep) for one in (CONTRACT, SILENCE)}


@pytest.mark.parametrize("definition", [CONTRACT, SILENCE], ids=lambda one: one.kind)
@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_engines_agree(
    folder: Path, on_duckdb: dict[str, Any], engine: str, definition: ChurnDefinition
) -> None:
    tables = opened_on(engine, folder)
    assert_same(parts(tables, definition), on_duckdb[definition.kind])
