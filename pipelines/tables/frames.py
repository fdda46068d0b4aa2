"""Tables: parquet in, canonical lazy frames for `features` out, and sorted parquet again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from ...features.expressions import columns_of
from ...features.newest_event import newest_event
from ...features.windows import KEYS
from .engine import open_duckdb, quoted_name, quoted_text

MONEY = {
    "customers": ("cost_to_serve_monthly",),
    "orders": ("amount", "margin", "discount"),
    "offers": ("offer_cost", "value"),
}
THOUSANDTHS = {"activity": ("quantity",)}
ROWS_PER_GROUP = 122_880
MOST_IN_DICTIONARY = 1_000  # distinct values of a column; looking for more costs and saves nothing


def open_tables(folder: Path, *, threads: int = 2, session: Any = None) -> dict[str, nw.LazyFrame]:
    """Canonical lazy frames of every parquet file in a folder, by file name.

    Timestamps become int64 UTC seconds, money int64 cents, activity.quantity int64 thousandths;
    decimals elsewhere become floats. They stand on the DuckDB connection `session`, by default a
    new one with as many threads.

    Raises
    ------
    FileNotFoundError
        If the folder holds no parquet files.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    if not paths:
        raise FileNotFoundError(f"no parquet files in {folder}; run the stage ingest first")
    connection = session or open_duckdb("4GB", threads, spill=None)
    read = {name: f"read_parquet({quoted_text(str(path))})" for name, path in paths.items()}
    return _on_duckdb(connection, read)


def open_arrow(connection: Any, tables: Mapping[str, pa.Table]) -> dict[str, nw.LazyFrame]:
    """Canonical lazy frames of tables in memory, on a DuckDB connection."""
    for name, rows in tables.items():
        connection.register(f"given_{name}", rows)
    return _on_duckdb(connection, {name: f'"given_{name}"' for name in tables})


def canonical(name: str, frame: Any) -> nw.LazyFrame:
    """A table of a Spark session in UTC, made canonical; naive timestamps count as UTC."""
    from pyspark.sql import functions as fn

    columns = []
    for column, dtype in frame.dtypes:
        value = fn.col(column)
        if column in MONEY.get(name, ()):
            value = fn.round(value * 100).cast("bigint")
        elif column in THOUSANDTHS.get(name, ()):
            value = fn.round(value * 1000).cast("bigint")
        elif dtype.startswith(("timestamp", "date")):
            value = fn.floor(fn.unix_micros(value.cast("timestamp")) / 1_000_000).cast("bigint")
        elif dtype.startswith("decimal"):
            value = value.cast("double")
        columns.append(value.alias(column))
    return nw.from_native(frame.select(*columns))


def _on_duckdb(connection: Any, sources: Mapping[str, str]) -> dict[str, nw.LazyFrame]:
    # Features join narrow to wide, left to right: swapped by estimates the order would be lost.
    connection.execute("set disabled_optimizers = 'build_side_probe_side'")
    return {
        name: nw.from_native(connection.sql(_canonical_sql(connection, name, source)))
        for name, source in sources.items()
    }


def last_event(tables: Mapping[str, nw.LazyFrame]) -> int:
    """The second after the last event in the data: what "now" is when a source does not say.

    Raises
    ------
    ValueError
        If no table holds a time.
    """
    latest = newest_event(tables)
    if latest is None:
        raise ValueError(
            "source: no table holds a time, so the end of the data is unknown; "
            "give 'as_of' in the source"
        )
    return int(latest) + 1


def write(frame: nw.LazyFrame, path: Path, *, sort_by: Sequence[str] = KEYS) -> int:
    """Write sorted parquet with as_of and *_at as timestamps; returns the number of rows.

    On DuckDB rows stream to the file and never pass through Python.
    """
    if not frame.implementation.is_duckdb():
        table = _arrow(frame, sort_by)
        pq.write_table(table, path, compression="snappy", row_group_size=ROWS_PER_GROUP)
        return table.num_rows
    order = ", ".join(map(quoted_name, sort_by))
    timed(frame).order(order).query(
        "rows_to_write",
        f"copy rows_to_write to {quoted_text(str(path))} (format parquet, compression snappy, "
        f"row_group_size {ROWS_PER_GROUP}, dictionary_size_limit {MOST_IN_DICTIONARY})",
    )
    return pq.read_metadata(path).num_rows


def timed(frame: nw.LazyFrame) -> Any:
    """A frame of DuckDB as a relation whose moments are timestamps."""
    stamps = ", ".join(
        f"make_timestamp({name} * 1000000) as {name}" for name in map(quoted_name, _moments(frame))
    )
    return nw.to_native(frame).project(f"* replace ({stamps})" if stamps else "*")


def _arrow(frame: nw.LazyFrame, sort_by: Sequence[str]) -> pa.Table:
    collected = frame.sort(*sort_by).collect(backend="pyarrow").to_native()
    collected = collected.select(list(columns_of(frame))).replace_schema_metadata(None)
    for name in _moments(frame):
        position = collected.column_names.index(name)
        micros = pa.compute.multiply(collected.column(name).cast(pa.int64()), 1_000_000)
        collected = collected.set_column(position, name, micros.cast(pa.timestamp("us")))
    return collected


def _moments(frame: nw.LazyFrame) -> list[str]:
    schema = frame.collect_schema()
    return [
        name
        for name in schema.names()
        if (name == "as_of" or name.endswith("_at")) and schema[name].is_integer()
    ]


def _canonical_sql(connection: Any, name: str, source: str) -> str:
    """A SELECT over a table of raw columns whose columns are canonical."""
    described = connection.sql(f"describe select * from {source}").fetchall()
    columns = []
    for column, dtype, *_ in described:
        quoted = quoted_name(column)
        value = quoted
        if column in MONEY.get(name, ()):
            value = f"cast(round({quoted} * 100) as bigint)"
        elif column in THOUSANDTHS.get(name, ()):
            value = f"cast(round({quoted} * 1000) as bigint)"
        elif dtype.startswith(("TIMESTAMP", "DATE")):
            value = f"cast(floor(epoch({quoted})) as bigint)"
        elif dtype.startswith("DECIMAL"):
            value = f"cast({quoted} as double)"
        columns.append(f"{value} as {quoted}")
    return f"select {', '.join(columns)} from {source}"
