"""Temporary features of today's customers, for scoring from tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from .featurize import featurize_today
from .ingest import ingest
from .job.progress import step
from .settings.params import Featurize, Machine
from .settings.sources import Source
from .storage.atomic import scratch_beside


@contextmanager
def todays_features(
    source: Source,
    params: Featurize,
    machine: Machine,
    *,
    tables: Path | None,
    as_of: datetime | None,
    out: Path,
) -> Iterator[Path]:
    """A Parquet file with one row for each customer, as known at `as_of`.

    Parameters
    ----------
    source, params, machine
        What the tables mean, the settings with which the model's features were made, and how much
        of the machine to use.
    tables
        Folder of tables as `ingest` writes them; None reads the source anew, its contract checked.
    as_of
        The moment (UTC, naive); None takes that of the tables.
    out
        Where the scores will be; everything is kept beside it until the block ends.

    Raises
    ------
    SourceError, ContractError, StoreError
        If raw data cannot be read, break the contract, or the tables are not what was written.
    """
    with scratch_beside(out, "today") as folder:
        tables = tables or _read_anew(source, machine, folder)
        features = folder / "current.parquet"
        with step("features of today's customers"):
            featurize_today(source, params, machine, tables=tables, as_of=as_of, out=features)
        yield features


@contextmanager
def todays_tables(source: Source, machine: Machine, *, out: Path) -> Iterator[Path]:
    """A folder of tables read anew from a source, as `todays_features` reads them.

    Raises
    ------
    SourceError, ContractError
        If raw data cannot be read, or break the contract.
    """
    with scratch_beside(out, "today") as folder:
        yield _read_anew(source, machine, folder)


def _read_anew(source: Source, machine: Machine, folder: Path) -> Path:
    tables = folder / "tables"
    with step(f"reading {source.title}"):
        ingest(
            source,
            tables,
            truth=folder / "truth",
            memory_limit=machine.memory_limit,
            threads=machine.threads,
        )
    return tables
