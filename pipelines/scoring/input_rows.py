"""Reading customers from parquet files in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..tables.parquet_limits import MOST_TEXT, refuse_bombs, too_long

KEYS = ("customer_id", "as_of", "population")
MOMENT = pa.timestamp("us")
BATCH_ROWS = 32_768
SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class Survey:
    """What a first look at the keys found: rows in all, the moment, and how many are of others."""

    rows: int
    as_of: datetime
    elsewhere: int


def input_files(path: Path) -> list[Path]:
    """A parquet file, or those of a folder by name, hidden and marker files left out.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    found = [path] if path.is_file() else sorted(path.glob("*.parquet"))
    files = [file for file in found if file == path or not file.name.startswith((".", "_"))]
    if not files:
        raise FileNotFoundError(f"{path}: there is no parquet file; run featurize, or correct it")
    return files


def check_columns(files: Sequence[Path], columns: Mapping[str, bool]) -> None:
    """Every file has the customer and what the model reads, in types and sizes that it can read.

    Raises
    ------
    ValueError
        If a column is missing, stands there twice, is text for a number or a number for a
        category, or would unfold to more than the memory, or if the files differ in their keys.
    """
    first = None
    for file in files:
        schema = _schema(file)
        check_schema(schema, columns, file)
        keys = [name for name in KEYS if name in schema.names]
        kinds = (keys, _is_text(schema.field("customer_id").type))
        first = first or kinds
        if kinds != first:
            raise ValueError(
                f"{file}: columns {', '.join(KEYS)} must be those of {files[0].name}, and ids of "
                f"one type, found {', '.join(keys)}; write the files alike"
            )
        with file.open("rb") as handle:
            refuse_bombs(_open(file), handle, file, {*KEYS, *columns})


def check_schema(schema: pa.Schema, columns: Mapping[str, bool], file: Any) -> None:
    """As `check_columns`, without the sizes; `file` is named in errors.

    Raises
    ------
    ValueError
        As there.
    """
    asked = {*KEYS, *columns}
    twice = sorted(name for name in asked if schema.names.count(name) > 1)
    if twice:
        raise ValueError(f"{file}: column '{twice[0]}' stands there twice; rename one")
    missing = [name for name in ("customer_id", *columns) if name not in schema.names]
    if missing:
        raise ValueError(
            f"{file}: {len(missing)} columns are missing: {', '.join(missing[:8])}; "
            "rename or rebuild them"
        )
    for name, number in columns.items():
        found = schema.field(name).type
        fits = _is_number(found) if number else _is_text(found)
        if not (fits or pa.types.is_null(found)):
            raise ValueError(
                f"{file}: column '{name}' must be {'a number' if number else 'text'}, found "
                f"{found}; cast it"
            )
    for name, is_right, kind in (
        ("customer_id", _is_id, "text or a whole number"),
        ("population", _is_text, "text"),
        ("as_of", _is_moment, "a timestamp"),
    ):
        found = schema.field(name).type if name in schema.names else pa.null()
        if not (is_right(found) or (pa.types.is_null(found) and name != "customer_id")):
            raise ValueError(f"{file}: column '{name}' must be {kind}, found {found}; cast it")


def survey(files: Sequence[Path], *, as_of: datetime | None, now: datetime) -> Survey:
    """Count the rows, settle their moment, and see that each customer stands there once.

    Parameters
    ----------
    as_of
        The moment to score; rows of another one are counted, not scored. None takes that of the
        rows, or `now` where they say none.

    Raises
    ------
    ValueError
        If there are no rows, a customer is missing or repeated, or there are several moments and
        none is asked for.
    """
    rows, moments, hashes = 0, set[datetime](), []
    for chunk in chunks(files, [name for name in KEYS[:2] if name in _schema(files[0]).names]):
        rows += len(chunk)
        if chunk["customer_id"].null_count:
            raise ValueError(f"{files[0].parent}: rows without customer_id; every row needs one")
        when = moments_of(chunk)
        if as_of is None:
            moments |= set(pc.unique(pc.drop_null(when)).to_pylist())
            one_moment(moments)
        else:
            chunk = chunk.filter(of_moment(when, as_of))
        ids = chunk["customer_id"].to_pandas().to_numpy()
        hashes.append(pd.util.hash_array(ids, categorize=False))
    if not rows:
        raise ValueError(f"{files[0]}: there are no rows to score")
    seen = np.concatenate(hashes)
    seen.sort()
    repeated = int((seen[1:] == seen[:-1]).sum())
    if repeated:
        raise ValueError(
            f"{repeated:,} customers stand there twice and would be sent two offers; keep one row "
            "a customer"
        )
    return Survey(rows, as_of or (moments.pop() if moments else now), rows - len(seen))


def one_moment(moments: Collection[datetime]) -> datetime | None:
    """The one moment among these, None where there is none.

    Raises
    ------
    ValueError
        If there are several.
    """
    if len(moments) > 1:
        shown = " and ".join(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in sorted(moments)[:2])
        raise ValueError(f"the rows are of several moments, {shown}; choose one by --as-of")
    return next(iter(moments), None)


def chunks(
    files: Sequence[Path], columns: Sequence[str], *, start: int = 0, rows: int = BATCH_ROWS
) -> Iterator[pa.Table]:
    """Rows `start` to the end of all files in order, `rows` at a time whatever the row groups."""
    yield from regrouped(_batches(files, columns, start), rows)


def regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` rows each, the last one of what is left."""
    waiting: list[pa.Table] = []
    held = 0
    for batch in tables:
        waiting.append(batch)
        held += len(batch)
        while held >= rows:
            table = pa.concat_tables(waiting, promote_options="permissive")
            waiting, held = [table.slice(rows)], held - rows
            table = table.slice(0, rows)
            yield table
            del table  # not kept while the next one is gathered
    if held:
        yield pa.concat_tables(waiting, promote_options="permissive")


def sample(files: Sequence[Path], columns: Sequence[str], *, rows: int) -> pa.Table:
    """About 20,000 rows, evenly spaced, of evenly spaced row groups."""
    groups = [(file, group) for file in files for group in range(_open(file).num_row_groups)]
    chosen = groups[:: max(1, len(groups) // 20)]
    step = max(1, rows * len(chosen) // len(groups) // SAMPLE_ROWS)
    parts, offset = [], 0
    for file, group in chosen:
        reader = _open(file)
        for batch in _read(reader, group, columns):
            taken = np.arange(-offset % step, len(batch), step)
            parts.append(pa.Table.from_batches([batch]).take(taken))
            offset += len(batch)
    return pa.concat_tables(parts, promote_options="permissive")


def typed(chunk: pa.Table, columns: Mapping[str, bool]) -> pd.DataFrame:
    """The columns of a model as pandas, in types that do not depend on where a chunk ends."""
    arrays = {
        name: chunk[name].cast(pa.float64(), safe=False) if number else _category(chunk[name])
        for name, number in columns.items()
    }
    if "population" in chunk.column_names:
        arrays["population"] = _category(chunk["population"])
    return pa.table(arrays).to_pandas(split_blocks=True, use_threads=False)


def moments_of(chunk: pa.Table) -> pa.ChunkedArray:
    """as_of of each row as naive UTC, null where the rows say none.

    Raises
    ------
    ValueError
        If it is not a time.
    """
    if "as_of" not in chunk.column_names:
        return pa.chunked_array([pa.nulls(len(chunk), MOMENT)])
    found = chunk["as_of"].type
    if not (pa.types.is_temporal(found) or pa.types.is_null(found)):
        raise ValueError(f"column 'as_of' must be a timestamp, found {found}; cast it")
    return chunk["as_of"].cast(MOMENT, safe=False)


def of_moment(when: pa.ChunkedArray, as_of: datetime) -> pa.ChunkedArray:
    """Rows of that moment, and rows that say none."""
    return pc.or_(pc.is_null(when), pc.fill_null(pc.equal(when, pa.scalar(as_of, MOMENT)), False))


def _batches(files: Sequence[Path], columns: Sequence[str], start: int) -> Iterator[pa.Table]:
    for file in files:
        reader = _open(file)
        for group in range(reader.num_row_groups):
            size = reader.metadata.row_group(group).num_rows
            if start >= size:
                start -= size
                continue
            # One at a time: a reader of several keeps the bytes of all that it has read.
            for batch in _read(reader, group, columns):
                kept = batch.slice(start)
                start = max(0, start - len(batch))
                if len(kept):
                    yield pa.Table.from_batches([kept])


def _read(reader: pq.ParquetFile, group: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows of a row group, the customer's id as plain text or number, categories as they come."""
    try:
        # Reading in threads of its own took twice the time on two cores.
        for batch in reader.iter_batches(BATCH_ROWS, [group], list(columns), use_threads=False):
            yield _plain(batch)
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"a row group cannot be read ({error}); write the file anew") from error


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    for position, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type) and _is_text(field.type):
            column = batch.column(position)
            if (pc.max(pc.binary_length(column.dictionary)).as_py() or 0) > MOST_TEXT:
                raise ValueError(too_long(field.name))
            if field.name == "customer_id":
                batch = batch.set_column(position, field.name, column.cast(pa.string()))
    return batch


def _open(file: Path) -> pq.ParquetFile:
    """A reader that leaves texts as dictionaries: one of a megabyte in every row is read once."""
    try:
        schema = pq.read_schema(file)
        texts = [field.name for field in schema if _is_text(field.type)]
        return pq.ParquetFile(file, read_dictionary=texts)
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file}: not a readable parquet file ({error})") from error


def _schema(file: Path) -> pa.Schema:
    return _open(file).schema_arrow


def _category(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as codes; those that a parquet file holds as codes are not unfolded."""
    if pa.types.is_dictionary(texts.type):
        return texts.unify_dictionaries()
    return texts.cast(pa.string()).dictionary_encode()


def _is_number(found: pa.DataType) -> bool:
    kinds = pa.types
    return bool(
        kinds.is_integer(found)
        or kinds.is_floating(found)
        or kinds.is_boolean(found)
        or kinds.is_decimal(found)
    )


def _is_id(found: pa.DataType) -> bool:
    return bool(pa.types.is_integer(found)) or _is_text(found)


def _is_moment(found: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(found) or pa.types.is_date(found))


def _is_text(found: pa.DataType) -> bool:
    inner = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))
