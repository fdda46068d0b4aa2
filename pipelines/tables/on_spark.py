"""Tables on Spark: executors read them, and hand each range of customers to one task.

What a customer is follows from her own rows alone. So the rows of all tables are dealt out by
ranges of customer ids, and in each range the code of one machine runs, on DuckDB: the same bits
come out, no plan grows with the features, and a range, or a row group while it is read, bounds the
memory of a task. Files are read by pyarrow, so that a cluster needs this package and nothing of
Hadoop; rows travel as Arrow's own bytes. To the driver come names, counts, and a sample of the
ids, from which it picks the bounds of the ranges.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..job.quiet import quiet_children
from ..storage.places import Place
from ..storage.shared_files import opened

SAMPLES_PER_RANGE = 16
GROUPS_PER_TASK = 8  # row groups that a task reads, one after the other: starting it takes as long
_WRITTEN = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class SharedTable:
    """A table in Parquet files that every executor can read.

    Attributes
    ----------
    groups
        Each row group: its file, its number in it, and its rows.
    schema
        The columns that are read; texts and moments as plain ones.
    owners
        Columns that say whose a row is; it goes to the ranges of all of them.
    """

    groups: tuple[tuple[Place, int, int], ...]
    schema: pa.Schema
    owners: tuple[str, ...] = ("customer_id",)

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(rows for _, _, rows in self.groups)


@contextmanager
def session(threads: int) -> Iterator[Any]:
    """The Spark session that is there, or one for the length of the block.

    `threads` are those of a local one; under `spark-submit` the session runs where that says.

    Raises
    ------
    ValueError
        If pyspark is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ValueError(
            "--engine spark needs pyspark; pip install -e '.[spark]' in the folder of this "
            "repository, or use --engine local"
        ) from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    before = SparkSession.getActiveSession()
    builder = SparkSession.builder.appName("winback")
    if before is None and "PYSPARK_GATEWAY_PORT" not in os.environ:  # not under spark-submit
        builder = builder.master(f"local[{threads}]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
    with quiet_children():
        spark = before or builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        with warnings.catch_warnings():
            # Only Arrow goes in and out, so Spark's warning about pandas 3 does not apply.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
            yield spark
    finally:
        if before is None:
            spark.stop()


def shared_table(
    files: Sequence[Place],
    *,
    columns: Collection[str] | None = None,
    owners: tuple[str, ...] = ("customer_id",),
) -> SharedTable:
    """A table by the footers of its files, with these columns or all.

    Raises
    ------
    ValueError
        If a file is no Parquet, lacks columns of the first, or has text where others have numbers.
    """
    groups, schemas = [], list[pa.Schema]()
    for file in files:
        with opened(file) as handle:
            try:
                reader = pq.ParquetFile(handle)
            except (OSError, pa.ArrowException) as error:
                raise ValueError(f"{file}: not a readable parquet file ({error})") from error
            rows = [reader.metadata.row_group(i).num_rows for i in range(reader.num_row_groups)]
            groups += [(file, group, number) for group, number in enumerate(rows)]
            found = reader.schema_arrow
        kept = [name for name in found.names if columns is None or name in columns]
        names = schemas[0].names if schemas else kept
        missing = [name for name in names if name not in kept]
        if missing:
            raise ValueError(f"{file}: column '{missing[0]}' is missing; {files[0]} has it")
        schemas.append(pa.schema([(name, _plain(found.field(name).type)) for name in names]))
        try:
            schema = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise ValueError(f"{file}: has other types than {files[0]} ({error})") from error
    return SharedTable(tuple(groups), schema, owners)


def read_group(table: SharedTable, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a row group of a table, counted over its files."""
    file, group, _ = table.groups[number]
    names = list(columns or table.schema.names)
    with opened(file) as handle:
        rows = pq.ParquetFile(handle).read_row_group(group, columns=names, use_threads=False)
    fields = [table.schema.field(name) for name in names]
    columns_read = [
        # Moments of nanoseconds lose those; of nothing else anything may be lost.
        rows[field.name].cast(field.type, safe=not pa.types.is_timestamp(field.type))
        for field in fields
    ]
    return pa.table(columns_read, schema=pa.schema(fields))


def each(spark: Any, items: Sequence[Any], work: Callable[[Any], Any]) -> list[Any]:
    """What `work` gives for each item, each in a task of its own.

    Raises
    ------
    ValueError, FileNotFoundError, MemoryError
        What `work` raised as one, as if it had run here.
    """
    if not items:
        return []
    tasks = spark.sparkContext.parallelize(list(enumerate(items)), len(items))
    found = tasks.map(lambda item: (item[0], *_tried(work, item[1]))).collect()
    return [result for _, *told in sorted(found, key=lambda one: one[0]) for result in _told(told)]


def bounds_of(spark: Any, table: SharedTable, rows_each: int) -> list[Any]:
    """First ids of all ranges but the first, so that each has about `rows_each` rows of a table."""
    step = max(1, rows_each // SAMPLES_PER_RANGE)

    def sample(number: int) -> list[Any]:
        ids = read_group(table, number, ["customer_id"]).column(0).drop_null()
        return list(ids.take(pc.sort_indices(ids))[::step].to_pylist())

    numbers = range(len(table.groups))
    samples = sorted(one for found in each(spark, numbers, sample) for one in found)
    return sorted({*samples[SAMPLES_PER_RANGE::SAMPLES_PER_RANGE]} - {*samples[:1]})


def dealt_out(
    spark: Any, tables: Mapping[str, SharedTable], bounds: Sequence[Any], wanted: Sequence[int]
) -> Any:
    """The rows of all tables, each in the partition of its range; ranges not wanted are left out.

    Returns
    -------
    RDD
        What `in_ranges` takes; used twice, its rows are dealt out once.
    """
    seats = {number: seat for seat, number in enumerate(wanted)}
    whole = pa.types.is_integer(next(iter(tables.values())).schema.field("customer_id").type)
    edges = np.array(bounds, dtype=np.int64 if whole else object)

    def pieces(item: tuple[str, int]) -> Iterator[tuple[int, tuple[str, int, bytes]]]:
        name, number = item
        rows = read_group(tables[name], number)
        for bucket, chosen in _by_range(rows, tables[name].owners, edges):
            if bucket in seats:
                yield seats[bucket], (name, number, _packed(chosen))

    items = [(name, number) for name in tables for number in range(len(tables[name].groups))]
    read = spark.sparkContext.parallelize(items, _tasks(spark, len(items))).flatMap(pieces)
    return read.partitionBy(len(wanted), int)


def in_ranges(
    dealt: Any,
    tables: Mapping[str, SharedTable],
    wanted: Sequence[int],
    work: Callable[[int, dict[str, pa.Table]], Any],
) -> list[Any]:
    """What `work` gives for each range wanted: of its number and its rows of every table.

    Raises
    ------
    ValueError, FileNotFoundError, MemoryError
        What `work` raised as one, as if it had run here.
    """
    schemas = {name: table.schema for name, table in tables.items()}

    def one(seat: int, pieces: Iterator[tuple[int, tuple[str, int, bytes]]]) -> Iterator[Any]:
        held: dict[str, list[tuple[int, bytes]]] = {name: [] for name in schemas}
        for _, (name, number, packed) in pieces:
            held[name].append((number, packed))
        rows = {
            name: pa.concat_tables(
                [schemas[name].empty_table()]
                # Pieces come in any order: by that of the files the same rows are the same bytes.
                + [_unpacked(packed) for _, packed in sorted(held[name], key=lambda p: p[0])]
            )
            for name in schemas
        }
        yield _tried(lambda tables: work(wanted[seat], tables), rows)

    return [
        result for told in dealt.mapPartitionsWithIndex(one).collect() for result in _told(told)
    ]


def spark_frame(spark: Any, table: SharedTable, columns: Sequence[str] | None = None) -> Any:
    """A table, or some columns of it, as a DataFrame of Spark."""
    from pyspark.sql.pandas.types import from_arrow_schema

    spark.conf.set("spark.sql.session.timeZone", "UTC")
    names = list(columns or table.schema.names)
    schema = pa.schema([table.schema.field(name) for name in names])

    def rows(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                yield from read_group(table, number, names).to_batches()

    groups = len(table.groups)
    numbers = spark.range(0, groups, 1, _tasks(spark, groups))
    return numbers.mapInArrow(rows, from_arrow_schema(schema, prefer_timestamp_ntz=True))


def _tasks(spark: Any, groups: int) -> int:
    """How many tasks read so many row groups: enough for all cores, no more than it takes."""
    busy = min(groups, 4 * spark.sparkContext.defaultParallelism)
    return int(max(1, busy, -(-groups // GROUPS_PER_TASK)))


def _by_range(
    rows: pa.Table, owners: Sequence[str], edges: np.ndarray
) -> Iterator[tuple[int, pa.Table]]:
    """Rows by the ranges of their owners, in their order; a row of two owners may be in two."""
    each_owner = [_ranges(rows.column(name), edges) for name in owners]
    numbers, places = [each_owner[0]], [np.arange(len(rows))]
    for other in each_owner[1:]:
        elsewhere = np.flatnonzero(other != each_owner[0])
        numbers, places = [*numbers, other[elsewhere]], [*places, elsewhere]
    number, place = np.concatenate(numbers), np.concatenate(places)
    order = np.lexsort((place, number))
    number, place = number[order], place[order]
    for part in np.split(np.arange(len(order)), np.flatnonzero(np.diff(number)) + 1):
        if len(part):
            first, last = place[part[0]], place[part[-1]]
            alike = last - first + 1 == len(part)  # sorted by customer they stand together
            chosen = rows.slice(first, len(part)) if alike else rows.take(place[part])
            yield int(number[part[0]]), chosen


def _ranges(ids: pa.ChunkedArray, edges: np.ndarray) -> np.ndarray:
    """The number of the range of each id; of none, the first."""
    if pa.types.is_integer(ids.type):
        values = ids.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
        return np.searchsorted(edges, values, side="right")
    codes = ids.combine_chunks().fill_null("").dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks()
    texts = np.array(codes.dictionary.to_pylist(), dtype=object)
    return np.searchsorted(edges, texts, side="right")[codes.indices.to_numpy()]


def _packed(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_WRITTEN) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def _unpacked(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else kind


def _tried(work: Callable[[Any], Any], given: Any) -> tuple[Any, Exception | None]:
    """What a call gives, or its refusal, which Spark would turn into an error of its own."""
    try:
        return work(given), None
    except (ValueError, FileNotFoundError) as error:
        return None, error
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        return None, MemoryError(str(error))


def _told(told: Sequence[Any]) -> list[Any]:
    result, error = told
    if error is not None:
        raise error
    return [result]
