"""Copies of parquet files and reports without the rows of certain customers."""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CUSTOMER_COLUMNS = ("customer_id", "referrer_id", "referred_id")
PARQUET_MAGIC = b"PAR1"
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_ROW = re.compile(r"[ \t]*<tr\b[^>]*>.*?</tr>\n?", re.DOTALL)
_CELL = re.compile(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", re.DOTALL)


def rows_of(file: Path, customers: Collection[str]) -> int:
    """Rows of a parquet file, or of the tables of a report, that name one of the customers.

    What a file is is told by its first bytes, since caches keep files under other names; one that
    is neither has none.
    """
    with file.open("rb") as handle:
        first = handle.read(64)
    if first.startswith(PARQUET_MAGIC):
        return _parquet_rows(file, customers)
    if first.lower().startswith(b"<!doctype html"):
        return page_without(file.read_text(), customers)[1]
    return 0


def write_parquet_without(file: Path, target: Path | BinaryIO, customers: Collection[str]) -> None:
    """Copy a parquet file, a row group at a time, without the rows of the customers."""
    reader = pq.ParquetFile(file)
    with pq.ParquetWriter(target, reader.schema_arrow, compression="zstd") as writer:
        for group in range(reader.num_row_groups):
            table = reader.read_row_group(group)
            kept = table.filter(pc.invert(_theirs(table, customers)))
            if len(kept) or not group:
                writer.write_table(kept, row_group_size=max(1, len(kept)))


def page_without(page: str, customers: Collection[str] | None) -> tuple[str, int]:
    """The HTML of a report without the customers' rows in its tables, and the number of these.

    None stands for all customers.

    A report is not rendered anew: its data may have moved on since, and of reports that MLflow or
    DVC's cache keep there are no data any more.
    """
    removed = 0

    def table_without(match: re.Match[str]) -> str:
        first = _ROW.search(match[0])
        head = first[0] if first else ""
        columns = [html.unescape(cell) for cell in _CELL.findall(head)]
        if "customer id" not in columns:
            return match[0]
        position = columns.index("customer id")

        def row_without(row: re.Match[str]) -> str:
            nonlocal removed
            cells = _CELL.findall(row[0])
            if len(cells) <= position or row[0] == head:
                return row[0]
            if customers is not None and html.unescape(cells[position]) not in customers:
                return row[0]
            removed += 1
            return ""

        return _ROW.sub(row_without, match[0])

    return _TABLE.sub(table_without, page), removed


def _parquet_rows(file: Path, customers: Collection[str]) -> int:
    reader = pq.ParquetFile(file)
    columns = [name for name in CUSTOMER_COLUMNS if name in reader.schema_arrow.names]
    if not columns:
        return 0
    return sum(
        pc.sum(_theirs(reader.read_row_group(group, columns=columns), customers)).as_py() or 0
        for group in range(reader.num_row_groups)
    )


def _theirs(table: pa.Table, customers: Collection[str]) -> pa.ChunkedArray:
    """Whether each row names one of the customers, as text or as a number."""
    ids = pa.array(sorted(customers), pa.string())
    theirs = pa.chunked_array([pa.repeat(False, len(table))])
    for name in CUSTOMER_COLUMNS:
        if name in table.column_names:
            texts = table[name].cast(pa.string())
            theirs = pc.or_(theirs, pc.is_in(texts, value_set=ids))
    return theirs
