"""Evenly spaced rows of a large parquet file, read one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def even_rows(
    file: Path,
    *,
    most: int,
    columns: Sequence[str] | None = None,
    among: np.ndarray | None = None,
) -> pd.DataFrame:
    """At most so many rows of a file, evenly spaced, in their order: the same ones every time.

    Parameters
    ----------
    most
        A file of no more rows is read whole.
    columns
        Those to read, in that order; None reads all.
    among
        (n,) rising positions of the rows to choose from; None chooses from all.
    """
    reader = pq.ParquetFile(file)
    places = np.arange(reader.metadata.num_rows) if among is None else among
    kept = list(columns) if columns is not None else reader.schema_arrow.names
    evenly = np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)
    wanted, parts, first = places[evenly], [reader.schema_arrow.empty_table().select(kept)], 0
    for group in range(reader.num_row_groups):
        after = first + reader.metadata.row_group(group).num_rows
        here = wanted[(wanted >= first) & (wanted < after)] - first
        if len(here):
            parts.append(reader.read_row_group(group, columns=kept).select(kept).take(here))
        first = after
    return pa.concat_tables(parts).to_pandas()
