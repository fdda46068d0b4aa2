"""Evenly spaced rows of a large parquet file, read one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def even_rows(
    file: Path,
    *,
    most: int,
    columns: Sequence[str] | None = None,
    population: str | None = None,
) -> pd.DataFrame:
    """At most so many rows of a file, evenly spaced, in their order: the same ones every time.

    Parameters
    ----------
    most
        A file of no more rows is read whole.
    columns
        Those to read, in that order; None reads all.
    population
        Rows whose column population says so are chosen from; None chooses from all.
    """
    reader = pq.ParquetFile(file)
    groups = range(reader.num_row_groups)
    kept = list(columns) if columns is not None else reader.schema_arrow.names
    ends = np.cumsum([0, *(len(_places(reader, group, population)) for group in groups)])
    wanted = np.linspace(0, ends[-1] - 1, min(most, int(ends[-1]))).round().astype(int)
    parts = [reader.schema_arrow.empty_table().select(kept)]
    for group in groups:
        here = wanted[(wanted >= ends[group]) & (wanted < ends[group + 1])] - ends[group]
        if len(here):
            rows = reader.read_row_group(group, columns=kept).select(kept)
            parts.append(rows.take(_places(reader, group, population)[here]))
    return pa.concat_tables(parts).to_pandas()


def _places(reader: pq.ParquetFile, group: int, population: str | None) -> np.ndarray:
    """Rows of a row group to choose from."""
    if population is None:
        return np.arange(reader.metadata.row_group(group).num_rows)
    said = reader.read_row_group(group, columns=["population"]).column(0)
    return np.flatnonzero(pc.equal(said, population).to_numpy(zero_copy_only=False))
