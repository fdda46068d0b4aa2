"""The tables that `ingest` wrote, opened on DuckDB, and the moment that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import narwhals as nw

from ..settings.moments import seconds
from ..settings.params import Machine
from ..storage.atomic import scratch_beside, verify
from . import frames
from .engine import open_duckdb


@contextmanager
def standing_tables(
    folder: Path, machine: Machine, *, beside: Path
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Mapping[str, nw.LazyFrame], int]]:
    """The engine, the tables of a folder on it, and their moment (UTC seconds).

    The moment is the one of the manifest, else that of the last event. What DuckDB spills lies
    `beside` an output, until the block ends.
    """
    with (
        scratch_beside(beside, "spill") as spill,
        closing(open_duckdb(machine.memory_limit, machine.threads, spill=spill)) as connection,
    ):
        tables = frames.open_tables(folder, session=connection)
        as_of = verify(folder).get("as_of")
        yield connection, tables, seconds(as_of) if as_of else frames.last_event(tables)
