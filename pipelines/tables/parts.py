"""Customers of large parquet files, a part at a time, so that memory does not depend on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

PART_ROWS = 131_072


def parts_of(file: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The rows of a file in their order, at most `PART_ROWS` at a time."""
    reader = pq.ParquetFile(file)
    # One group at a time: a reader of several keeps the bytes of all that it has read.
    for group in range(reader.num_row_groups):
        for batch in reader.iter_batches(PART_ROWS, [group], list(columns), use_threads=False):
            yield batch.to_pandas()


def beside(parts: Iterable[pd.DataFrame], others: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Each part with the columns that the others hold of the same customers.

    Parameters
    ----------
    parts, others
        (n, ...) rows with customer_id, one a customer, rising within a part and from part to part.
        Parts may end anywhere.

    Yields
    ------
    DataFrame
        The rows of a part in their order; what the others do not know is missing.
    """
    coming = iter(others)
    waiting = [next(coming)]
    for rows in parts:
        last = rows["customer_id"].iloc[-1]
        while waiting[-1]["customer_id"].iloc[-1] < last:
            further = next(coming, None)
            if further is None:
                break
            waiting.append(further)
        yield rows.merge(pd.concat(waiting), on="customer_id", how="left")
        waiting = waiting[-1:]
