"""Customers of large parquet files, a part at a time, so that memory does not depend on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

PART_ROWS = 122_880  # a row group of the features


def parts_of(file: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The rows of a file in their order, at most `PART_ROWS` at a time; once without, of none."""
    reader = pq.ParquetFile(file)
    if not reader.metadata.num_rows:
        yield reader.schema_arrow.empty_table().select(list(columns)).to_pandas()
    # One group at a time: a reader of several keeps the bytes of all that it has read.
    for group in range(reader.num_row_groups):
        for batch in reader.iter_batches(PART_ROWS, [group], list(columns), use_threads=False):
            yield batch.to_pandas()


def beside(
    parts: Iterable[pd.DataFrame], others: Iterable[pd.DataFrame]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Each part, and what the others hold of the same customers.

    Parameters
    ----------
    parts, others
        (n, ...) rows with customer_id, one a customer, rising within a part and from part to part.
        Parts may end anywhere.

    Yields
    ------
    tuple of DataFrame
        The rows of a part, and in the same order those of the others; a customer whom they do not
        have is missing there but for the id.
    """
    coming = iter(others)
    waiting = [next(coming)]
    for rows in parts:
        last = rows["customer_id"].iloc[-1]
        while waiting[-1].empty or waiting[-1]["customer_id"].iloc[-1] < last:
            further = next(coming, None)
            if further is None:
                break
            waiting.append(further)
        known = pd.concat(waiting).set_index("customer_id").reindex(rows["customer_id"])
        yield rows, known.reset_index()
        waiting = waiting[-1:]
