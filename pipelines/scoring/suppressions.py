"""The suppression list (objectors): read before scoring and again before export."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..job.exit_codes import SuppressionsUnusable
from ..settings import moments
from ..settings.sources import Source
from ..tables.parquet_limits import MOST_TEXT, refuse_bombs, too_long


@dataclass(frozen=True)
class Suppressions:
    """The list at one moment: the ids, and the SHA-256 of the file they came from."""

    ids: pa.Array
    sha256: str

    def hit(self, customers: pa.ChunkedArray) -> pa.ChunkedArray:
        """Whether each customer is on the list, whenever the objection was made.

        Raises
        ------
        SuppressionsUnusable
            If ids are text on one side and numbers on the other: no customer would match.
        """
        given = customers.type
        if len(self.ids):
            check_kinds(self.ids.type, given)
        kind = pa.int64() if pa.types.is_integer(given) else pa.string()
        ids = self.ids.cast(kind) if len(self.ids) else pa.array([], kind)
        return pc.is_in(customers.cast(kind), value_set=ids)


def check_kinds(listed: pa.DataType, given: pa.DataType) -> None:
    """Refuse ids of the list and of the customers that can never be the same.

    Raises
    ------
    SuppressionsUnusable
        If they are text on one side and numbers on the other.
    """
    if _kind(listed) != _kind(given):
        raise SuppressionsUnusable(
            f"suppressions: customer_id is {listed} in the list and {given} in the features, "
            "so nobody would be found; use the same type in both"
        )


def _ids(content: bytes, file: Path) -> pa.ChunkedArray:
    reader = pq.ParquetFile(pa.BufferReader(content))
    refuse_bombs(reader, io.BytesIO(content), file, {"customer_id"})
    if reader.schema_arrow.names.count("customer_id") != 1:
        raise KeyError("one column customer_id is needed")
    read = pq.read_table(
        pa.BufferReader(content), columns=["customer_id"], read_dictionary=["customer_id"]
    )["customer_id"]
    if pa.types.is_dictionary(read.type):
        read = read.unify_dictionaries()
        values = read.chunk(0).dictionary if read.num_chunks else pa.array([], pa.string())
        if (pc.max(pc.binary_length(values)).as_py() or 0) > MOST_TEXT:
            raise ValueError(too_long("customer_id"))
        read = read.cast(pa.string())
    return read


def _kind(dtype: pa.DataType) -> str:
    inner = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    if pa.types.is_integer(inner):
        return "number"
    return "text" if pa.types.is_string(inner) or pa.types.is_large_string(inner) else str(inner)


def read_suppressions(
    file: Path, *, as_of: datetime, max_age_days: float | None, otherwise: str = ""
) -> Suppressions:
    """The list, if it can be relied on.

    Parameters
    ----------
    file
        Parquet with a column customer_id; it may have no rows.
    as_of
        The moment of the scores (UTC).
    max_age_days
        A file written longer ago than that, before now or `as_of`, is stale; None for a table of
        the same run as the features.
    otherwise
        What else than repairing the list can be done, for the error.

    Raises
    ------
    SuppressionsUnusable
        If it is missing, unreadable, without ids, or stale.
    """
    try:
        content = file.read_bytes()
        ids = _ids(content, file)
    except MemoryError:
        raise
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise SuppressionsUnusable(
            f"suppressions: {file} cannot be read ({str(error).splitlines()[0]}); customers who "
            "objected must not be scored, so nothing was; repair the list (a Parquet file with a "
            f"column customer_id){otherwise}"
        ) from error
    if ids.null_count:
        raise SuppressionsUnusable(
            f"suppressions: {file} has {ids.null_count:,} rows without customer_id; repair it"
        )
    made = moments.naive_utc(datetime.fromtimestamp(file.stat().st_mtime, UTC))
    latest = max(as_of, moments.now())
    age_days = (latest - made) / timedelta(days=1)
    if max_age_days is not None and not age_days <= max_age_days:  # nor if it is no number
        raise SuppressionsUnusable(
            f"suppressions: {file} was written at {made:%Y-%m-%d %H:%M}, more than "
            f"{max_age_days:g} days before {latest:%Y-%m-%d %H:%M}; export it anew"
        )
    return Suppressions(ids.combine_chunks(), hashlib.sha256(content).hexdigest())


def suppressions_of(source: Source, tables: Path, as_of: datetime) -> Suppressions | None:
    """The list of the source's tables; None where it says that nobody can object.

    Parameters
    ----------
    source
        It may say so (suppressions: none).
    tables
        Folder of tables as `ingest` writes them.
    as_of
        The moment of the decisions (UTC).

    Raises
    ------
    SuppressionsUnusable
        If there is no table of suppressions and the source does not say that there is none.
    """
    if source.suppressions == "none":
        return None
    path = tables / "suppressions.parquet"
    if not path.exists():
        raise SuppressionsUnusable(
            f"suppressions: {source.path} has no such table; customers who objected must not be "
            "recommended an offer, so nothing is written; add the table, or write "
            "'suppressions: none' where nobody can object"
        )
    return read_suppressions(path, as_of=as_of, max_age_days=None)


def refuse_everybody(objected: int, customers: int) -> None:
    """Raise `SuppressionsUnusable` where a list names all of the customers."""
    if objected == customers > 0:
        raise SuppressionsUnusable(
            f"suppressions: all {customers:,} customers of today are on the list, so there "
            "is nobody to decide on; check the table's query"
        )
