from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_tables import opened_on

from winback.pipelines.settings.moments import seconds
from winback.pipelines.tables import frames

NOON = datetime(2024, 2, 29, 12, 0, 0)
ENGINES = ("duckdb", "pandas", "polars")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    orders = pa.table(
        {
            "order_id": pa.array(["b", "a", "c"]),
            "customer_id": pa.array([2, 1, 1]),
            "ordered_at": pa.array([NOON, NOON + timedelta(microseconds=999_999), None]),
            "amount": pa.array([Decimal("0.29"), Decimal("12.30"), None], pa.decimal128(18, 2)),
            "weight": pa.array([Decimal("1.5"), None, None], pa.decimal128(9, 3)),
        }
    )
    activity = pa.table({"customer_id": [1], "happened_at": [NOON], "quantity": [2.0005]})
    pq.write_table(orders, tmp_path / "orders.parquet")
    pq.write_table(activity, tmp_path / "activity.parquet")
    return tmp_path


def rows(frame: Any) -> list[dict[str, Any]]:
    return frame.collect(backend="pyarrow").to_native().to_pylist()


@pytest.mark.parametrize("engine", ENGINES)
def test_times_become_seconds_and_money_cents(folder: Path, engine: str) -> None:
    tables = opened_on(engine, folder)
    noon = 1_709_208_000
    found = {row["order_id"]: row for row in rows(tables["orders"])}
    assert [found[one]["ordered_at"] for one in "abc"] == [noon, noon, None]
    assert [found[one]["amount"] for one in "abc"] == [1230, 29, None]
    assert [found[one]["weight"] for one in "abc"] == [None, 1.5, None]
    assert rows(tables["activity"])[0]["quantity"] == 2001
    schema = tables["orders"].collect_schema()
    assert schema["ordered_at"].is_integer()
    assert schema["amount"].is_integer()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_written_is_sorted_and_comes_back(folder: Path, engine: str) -> None:
    orders = opened_on(engine, folder)["orders"]
    out = folder / "written"
    assert frames.write(orders, out, sort_by=("order_id",)) == 3
    back = pq.read_table(out)
    assert back.column("order_id").to_pylist() == ["a", "b", "c"]
    assert back.schema.field("ordered_at").type == pa.timestamp("us")
    assert back.column("ordered_at").to_pylist() == [NOON, NOON, None]


def test_the_same_bytes_are_written_on_one_thread_and_on_two(tmp_path: Path) -> None:
    count = 300_000
    shuffled = pd.Series(range(count)).sample(frac=1, random_state=0)
    table = pa.table({"customer_id": shuffled, "as_of": shuffled % 7})
    (tmp_path / "tables").mkdir()
    pq.write_table(table, tmp_path / "tables" / "rows.parquet", row_group_size=10_000)
    written = set()
    for threads in (1, 2):
        out = tmp_path / f"out{threads}"
        frame = frames.open_tables(tmp_path / "tables", threads=threads)["rows"]
        assert frames.write(frame, out) == count
        written.add(out.read_bytes())
    assert len(written) == 1


def test_the_last_event_is_what_happened_not_what_is_planned(folder: Path) -> None:
    tables = frames.open_tables(folder)
    assert frames.last_event(tables) == seconds(NOON) + 1
    with pytest.raises(ValueError, match="no table holds a time"):
        frames.last_event({})


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no parquet files in .* run the stage ingest"):
        frames.open_tables(tmp_path)
