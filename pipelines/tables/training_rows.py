"""The rows that a model is trained and graded on; of a large table a sample, drawn while reading.

Whole customers are drawn by a keyed hash of their id: the same ones whatever the order of the rows,
and memory depends on the sample alone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ..settings.params import Machine
from ..storage.atomic import scratch_beside
from ..storage.stage_outputs import feature_names
from .engine import open_duckdb

DRAWN = """
from read_parquet($file)
where md5_number_lower($key || customer_id::varchar) < $below::ubigint
"""


def training_rows(features: Path, part: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows of a training set in the order of their keys, and which columns are features."""
    return _ordered(features, pd.read_parquet(features / f"{part}.parquet"))


def drawn_rows(
    features: Path, part: str, machine: Machine, *, most: int, seed: int
) -> tuple[pd.DataFrame, list[str]]:
    """The same of a training set that may be larger than memory.

    Parameters
    ----------
    machine
        Limits of DuckDB, which reads.
    most
        About so many rows of a larger table are read, give or take what chance does.
    seed
        Another one draws other customers.
    """
    file = features / f"{part}.parquet"
    there = pq.read_metadata(file).num_rows
    if there <= most:
        return training_rows(features, part)
    drawn = {"file": str(file), "key": f"winback {seed} ", "below": (most << 64) // there}
    with (
        scratch_beside(features, "rows") as spill,
        open_duckdb(machine.memory_limit, machine.threads, spill=spill) as connection,
    ):
        rows = connection.sql(DRAWN, params=drawn).to_arrow_table().to_pandas()
    return _ordered(features, rows)


def _ordered(features: Path, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    keys = [name for name in ("customer_id", "as_of", "offer") if name in rows.columns]
    rows = rows.sort_values(keys, kind="stable", ignore_index=True)
    return rows, feature_names(features, rows)
