"""Ranges of customers: the same rows as in one go, in the same bytes, however they are cut."""

import hashlib
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_tables import DAY, START, arrow, many_tables

from winback.features.churn_definition import ChurnDefinition
from winback.features.families.assemble import features, with_features
from winback.features.offer_snapshots import offer_snapshots, retention_snapshots
from winback.features.snapshots import churn_snapshots
from winback.pipelines.tables import customer_ranges as ranges
from winback.pipelines.tables import frames
from winback.pipelines.tables.engine import open_duckdb

DATES = tuple(START + day * DAY for day in (10, 14, 18))
DEFINITION = ChurnDefinition(horizon_days=4)


def folder_of(path: Path, *, text_ids: bool = False, seed: int | None = None) -> Path:
    """Tables in canonical units, as drawn or shuffled."""
    path.mkdir()
    tables = many_tables(3)
    for name in ("customers", "orders", "departures", "referrals"):
        table = arrow(name, tables[name])
        if seed is not None:
            table = table.take(np.random.default_rng(seed).permutation(len(table)))
        for column in ("customer_id", "referrer_id", "referred_id"):
            if text_ids and column in table.column_names:
                place = table.column_names.index(column)
                table = table.set_column(place, column, table.column(column).cast(pa.string()))
        pq.write_table(table, path / f"{name}.parquet", row_group_size=7)
    return path


def write(folder: Path, out: Path, *, threads: int = 1) -> bytes:
    connection = open_duckdb("1GB", threads, spill=None)
    tables = frames.open_tables(folder, session=connection)
    cut = ranges.CustomerRanges(connection, tables, snapshots_each=len(DATES))
    setting: Any = {"definition": DEFINITION}
    kept = cut.keep(churn_snapshots(cut.tables, dates=DATES, now=10**12, **setting))
    rows = features(cut.tables, kept, windows_days=(2, 5), keep=cut.keep, **setting)
    assert cut.write(with_features(kept, rows), out) == pq.read_metadata(out).num_rows
    return out.read_bytes()


@pytest.mark.parametrize("text_ids", [False, True])
def test_ranges_give_the_rows_of_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_ids: bool
) -> None:
    folder = folder_of(tmp_path / "tables", text_ids=text_ids)
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    write(folder, whole)
    monkeypatch.setattr(ranges, "ROWS_PER_RANGE", 7 * len(DATES))
    write(folder, cut)
    assert pq.read_metadata(whole).num_row_groups == 1
    assert pq.read_metadata(cut).num_row_groups == 6
    found = pq.read_table(cut)
    assert found.equals(pq.read_table(whole))
    assert found.equals(found.sort_by([("customer_id", "ascending"), ("as_of", "ascending")]))
    assert found.schema.field("as_of").type == pa.timestamp("us")
    assert len(found) > 60


@pytest.mark.parametrize("snapshots", [offer_snapshots, retention_snapshots])
def test_answers_to_offers_that_are_kept_by_range_are_those_of_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshots: Any
) -> None:
    folder = folder_of(tmp_path / "tables")
    pq.write_table(arrow("offers", many_tables(3)["offers"]), folder / "offers.parquet")
    setting: Any = {"definition": DEFINITION, "now": START + 30 * DAY, "value_horizon_days": 3}
    if snapshots is offer_snapshots:
        setting["return_window_days"] = 5
    monkeypatch.setattr(ranges, "ROWS_PER_RANGE", 7)
    connection = open_duckdb("1GB", 1, spill=None)
    tables = frames.open_tables(folder, session=connection)
    cut = ranges.CustomerRanges(connection, tables)
    found = snapshots(cut.tables, keep=cut.keep, **setting)
    assert "offers.parquet" not in nw.to_native(found).sql_query()  # the answers stand already
    cut.write(found, tmp_path / "kept.parquet")
    monkeypatch.setattr(ranges, "ROWS_PER_RANGE", 10**6)
    whole = ranges.CustomerRanges(connection, tables)
    found = snapshots(whole.tables, **setting)
    assert "offers.parquet" in nw.to_native(found).sql_query()
    assert whole.write(found, tmp_path / "whole.parquet") > 10
    order = [("customer_id", "ascending"), ("as_of", "ascending"), ("offer", "ascending")]
    kept, other = (
        pq.read_table(tmp_path / f"{name}.parquet").sort_by(order) for name in ("kept", "whole")
    )
    assert kept.equals(other)


def test_threads_order_and_repetition_do_not_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "ROWS_PER_RANGE", 15 * len(DATES))
    found = set()
    for place, seed in enumerate((None, 1)):
        folder = folder_of(tmp_path / f"tables_{place}", seed=seed)
        for threads in (1, 2):
            content = write(folder, tmp_path / "out.parquet", threads=threads)
            found.add(hashlib.sha256(content).hexdigest())
    assert len(found) == 1


def test_nobody_gives_an_empty_file(tmp_path: Path) -> None:
    empty = pa.table({"customer_id": pa.array([], pa.int64())})
    pq.write_table(empty, tmp_path / "customers.parquet")
    connection = open_duckdb("1GB", 1, spill=None)
    cut = ranges.CustomerRanges(connection, frames.open_tables(tmp_path, session=connection))
    everybody = cut.tables["customers"].with_columns(as_of=nw.lit(START, dtype=nw.Int64))
    assert cut.write(cut.keep(everybody), tmp_path / "out.parquet") == 0
    assert pq.read_schema(tmp_path / "out.parquet").names == ["customer_id", "as_of"]


def test_rows_out_of_order_are_sorted() -> None:
    def table(*keys: tuple[int, int]) -> pa.Table:
        return pa.table(
            {"customer_id": [key[0] for key in keys], "as_of": [key[1] for key in keys]}
        )

    wanted = table((1, 5), (1, 7), (2, 5), (3, 1))
    batches_swapped = pa.concat_tables([table((2, 5), (3, 1)), table((1, 5), (1, 7))])
    for rows in (wanted, batches_swapped, table((1, 7), (3, 1), (1, 5), (2, 5))):
        assert ranges._sorted(rows, ("customer_id", "as_of")).equals(wanted)
