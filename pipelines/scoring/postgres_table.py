"""Publishing scores to a PostgreSQL table in one transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..tables.database import open_database, run

_NAME = re.compile(r"(?:([A-Za-z_][A-Za-z0-9_]*)\.)?([A-Za-z_][A-Za-z0-9_]*)")
_ROWS = 50_000
_COLUMNS = (
    "select attname from pg_attribute where attrelid = to_regclass('{name}') "
    "and attnum > 0 and not attisdropped order by attnum"
)


def check_table(table: str, uri: str) -> None:
    """See that the table may be replaced, before anything is scored.

    Raises
    ------
    ValueError
        If its name is not one, or a table of that name holds something else than scores.
    SourceError
        If the driver is missing or the database refuses.
    """
    with open_database(uri, "--uri") as cursor:
        _columns(cursor, table, uri)


def write_table(
    parts: Sequence[Path], table: str, uri: str, *, only_of: datetime | None = None
) -> int:
    """Replace the rows of a table by those of all parts, in one transaction; how many there are.

    With `only_of` rows of another `as_of` than this moment stay, as a history of scores. The table
    is made where there is none. One that is there keeps its grants, views and indexes; who reads it
    meanwhile sees the old rows, and a second writer waits.

    Raises
    ------
    ValueError, SourceError
        See `check_table`; also if the table has other columns than the parts, or the database
        fails midway. The old rows stay.
    """
    schema = pq.read_schema(parts[0]).remove_metadata()
    with open_database(uri, "--uri", writes=True) as cursor:
        columns = _columns(cursor, table, uri)
        if columns:
            if columns != schema.names:
                raise ValueError(
                    f"--to-table: {table} has the columns {', '.join(columns[:6])}..., the scores "
                    f"{', '.join(schema.names[:6])}...; drop it, or name another"
                )
            where = _quoted(table)
            run(cursor, f"lock table {where} in share row exclusive mode", uri=uri, where="--uri")
            these = f" where as_of = timestamp '{only_of}'" if only_of else ""
            run(cursor, f"delete from {where}{these}", uri=uri, where="--uri")
        space, name = _split(table)
        reader = pa.RecordBatchReader.from_batches(schema, _rows(parts))
        mode = "append" if columns else "create"
        return int(cursor.adbc_ingest(name, reader, mode=mode, db_schema_name=space))


def _columns(cursor: Any, table: str, uri: str) -> list[str]:
    """Names of the columns of a table, none where it is not there."""
    run(cursor, _COLUMNS.format(name=_quoted(table)), uri=uri, where="--uri")
    columns = [str(row[0]) for row in cursor.fetchall()]
    if columns and not {"customer_id", "as_of", "model_version"} <= {*columns}:
        raise ValueError(
            f"--to-table: {table} holds no scores (it has {', '.join(columns[:6])}); name another"
        )
    return columns


def _rows(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        for batch in pq.ParquetFile(part).iter_batches(_ROWS, use_threads=False):
            yield batch.replace_schema_metadata()


def _split(table: str) -> tuple[str | None, str]:
    match = _NAME.fullmatch(table)
    if match is None:
        raise ValueError(
            f"--to-table must be NAME or SCHEMA.NAME of letters, digits and _, found '{table}'"
        )
    return match[1], match[2]


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in _split(table) if part)
