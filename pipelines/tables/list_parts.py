"""The list that stage recommend wrote, a part at a time; one file without a manifest.

So its form is checked while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..storage.atomic import StoreError
from .parts import parts_of

LISTED = {  # what later stages read, beside the forecasts
    "as_of": (pa.types.is_timestamp, "a timestamp"),
    "recommended_offer": (pa.types.is_string, "text"),
    "holdout": (pa.types.is_boolean, "true or false"),
    "reasons": (pa.types.is_string, "text"),
    "excluded_by": (pa.types.is_string, "text"),
    "model_version": (pa.types.is_string, "text"),
    "expected_incremental_profit": (pa.types.is_floating, "a number"),
}
ALWAYS = {"customer_id", "as_of", "holdout", "model_version"}  # known of every customer
CURE = "run `winback run` to write it anew"


def listed_columns(file: Path) -> list[str]:
    """Columns of the list.

    Raises
    ------
    StoreError
        If it is missing, damaged, empty, lacks a column, or holds another type.
    """
    if not file.is_file():
        raise StoreError(f"{file}: not found; {CURE}")
    with _readable(file):
        reader = pq.ParquetFile(file)
    schema = reader.schema_arrow
    if not reader.metadata.num_rows:
        raise StoreError(f"{file}: has no rows; {CURE}")
    for name in ("customer_id", *LISTED):
        if name not in schema.names:
            raise StoreError(f"{file}: column '{name}' is missing; {CURE}")
    for name, (fits, kind) in LISTED.items():
        found = schema.field(name).type
        if not fits(pa.string() if pa.types.is_large_string(found) else found):
            raise StoreError(f"{file}: column '{name}' must be {kind}, found {found}; {CURE}")
    return list(schema.names)


def list_parts(file: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Rows of the list in the order of their ids.

    Parameters
    ----------
    columns
        Those to read beside customer_id.

    Raises
    ------
    StoreError
        As `listed_columns`, or if an id stands there twice or out of order, a number is infinite,
        or what every customer has is missing.
    """
    there = listed_columns(file)
    kept = list(dict.fromkeys(["customer_id", *columns]))
    if missing := [name for name in kept if name not in there]:
        raise StoreError(f"{file}: column '{missing[0]}' is missing; {CURE}")
    before = None
    with _readable(file):
        for rows in parts_of(file, kept):
            if why := _fault(rows, before):
                raise StoreError(f"{file}: {why}; {CURE}")
            before = rows["customer_id"].iloc[-1]
            yield rows


def moment_of(file: Path) -> pd.Timestamp:
    """The moment of the list; errors as `list_parts`."""
    return max(rows["as_of"].max() for rows in list_parts(file, ["as_of"]))


def _fault(rows: pd.DataFrame, before: object) -> str:
    """What is wrong with a part that comes after a customer (None: after nobody)."""
    for name in ALWAYS & {*rows}:
        if rows[name].isna().any():
            return f"column '{name}' must not be empty"
    ids = rows["customer_id"]
    if not (ids.is_monotonic_increasing and ids.is_unique):
        return "customers stand there twice or out of order"
    if before is not None and not before < ids.iloc[0]:
        return "customers stand there twice or out of order"
    for column, values in rows.select_dtypes("float").items():
        if np.isinf(values).any():
            return f"column '{column}' must be finite, found infinity"
    return ""


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """A `StoreError` for what is no parquet file."""
    try:
        yield
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise StoreError(f"{file}: not a readable parquet file ({why}); {CURE}") from error
