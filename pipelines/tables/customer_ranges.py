"""Processing of customers in ranges of ids, so that any number of them fits into memory.

What a customer is at a moment follows from her own events alone. So the tables are cut into ranges
of customer ids, one plan is run for one range after the other, and the results are appended to one
file: memory is bounded by a range, and joins, groups and sorts stay small. Tables sorted by
customer, as the stage ingest leaves them, are read once in all: the statistics in the parquet file
tell DuckDB which parts a range needs.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...features.expressions import columns_of
from ...features.windows import KEYS
from .frames import ROWS_PER_GROUP, timed

ROWS_PER_RANGE = 2 * ROWS_PER_GROUP
IN_RANGE = (
    "customer_id >= getvariable('first_customer') and customer_id <= getvariable('last_customer')"
)


class CustomerRanges:
    """One plan over tables of DuckDB, run for every range of customers.

    Parameters
    ----------
    connection
        The DuckDB connection of the tables.
    tables
        Canonical frames by name; `customers` says who there is.
    snapshots_each
        Snapshots to expect of a customer at the most: a range has as many customers as give
        `ROWS_PER_RANGE` snapshots.

    Attributes
    ----------
    tables
        The same frames, of the customers of the range at hand. A table without customer_id
        (referrals) is whole.
    """

    def __init__(
        self, connection: Any, tables: Mapping[str, nw.LazyFrame], *, snapshots_each: int = 1
    ) -> None:
        self._connection = connection
        self._bounds = _bounds(tables["customers"], max(1, ROWS_PER_RANGE // snapshots_each))
        self._kept: dict[str, str] = {}
        self._move_to(self._bounds[0])
        self.tables = {
            name: nw.from_native(nw.to_native(frame).filter(IN_RANGE))
            if "customer_id" in columns_of(frame)
            else frame
            for name, frame in tables.items()
        }

    def keep(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        """The rows of a frame of snapshots, computed once for each range and sorted by key."""
        name = f"kept_{uuid.uuid4().hex}"
        query = nw.to_native(frame).order(", ".join(KEYS)).sql_query()
        self._connection.execute(f"create temp table {name} as from ({query}) limit 0")
        self._kept[name] = query
        return nw.from_native(self._connection.table(name))

    def write(self, frame: nw.LazyFrame, path: Path) -> int:
        """Write the rows of all ranges, sorted by key, as one parquet file; returns their number.

        Moments become timestamps. Row groups end where ranges end: the same rows give the same
        bytes, whatever the number of threads.
        """
        relation = timed(frame)
        schema = relation.limit(0).to_arrow_table().schema
        rows = 0
        with features_writer(path, schema) as writer:
            for bounds in self._bounds:
                self._move_to(bounds)
                rows_of_range = _sorted(relation.to_arrow_table(), KEYS)
                writer.write_table(rows_of_range, row_group_size=ROWS_PER_GROUP)
                rows += len(rows_of_range)
        return rows

    def _move_to(self, bounds: tuple[Any, Any]) -> None:
        for name, value in zip(("first_customer", "last_customer"), bounds, strict=True):
            self._connection.execute(f"set variable {name} = ?", [value])
        for name, query in self._kept.items():
            self._connection.execute(f"truncate {name}")
            self._connection.execute(f"insert into {name} {query}")


def features_writer(target: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of features to a path or a stream."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    # Dictionaries of floats cost twice the time of writing and save little.
    return pq.ParquetWriter(target, schema, compression="snappy", use_dictionary=texts)


def _bounds(customers: nw.LazyFrame, customers_each: int) -> list[tuple[Any, Any]]:
    """First and last customer of each range; one range without any if there are none."""
    ids = nw.to_native(customers.select("customer_id")).to_arrow_table().column("customer_id")
    ids = _sorted(pa.table({"customer_id": ids}), ("customer_id",)).column("customer_id")
    firsts = range(0, len(ids), customers_each)
    lasts = [min(first + customers_each, len(ids)) - 1 for first in firsts]
    return [
        (ids[first].as_py(), ids[last].as_py()) for first, last in zip(firsts, lasts, strict=True)
    ] or [(None, None)]


def _sorted(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Rows sorted by some columns; batches are mostly sorted inside, but may come in any order."""
    batches = [batch for batch in rows.to_batches() if len(batch)]
    batches.sort(key=lambda batch: [batch.column(name)[0].as_py() for name in names])
    rows = pa.Table.from_batches(batches, rows.schema)
    keys = rows.select(list(names)).combine_chunks()
    before, after = keys.slice(0, max(0, len(keys) - 1)), keys.slice(1)
    later, alike = np.zeros(len(before), dtype=bool), np.ones(len(before), dtype=bool)
    for name in names:
        left, right = before.column(name), after.column(name)
        later |= alike & pa.compute.greater(left, right).to_numpy()
        alike &= pa.compute.equal(left, right).to_numpy()
    return rows.sort_by([(name, "ascending") for name in names]) if later.any() else rows
