"""The row of one customer in a large parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def customer_row(
    file: Path, identity: str, columns: Sequence[str] | None = None
) -> pd.DataFrame | None:
    """The first row of a customer (1, columns); None where there is none.

    Row groups whose ids lie all above or below are not read.

    Parameters
    ----------
    identity
        The id as text, of a number its digits.
    columns
        Those to read; None reads all.
    """
    try:
        wanted = pa.scalar(identity).cast(pq.read_schema(file).field("customer_id").type)
    except pa.ArrowInvalid:
        return None
    if str(wanted.as_py()) != identity:
        return None
    kept = None if columns is None else list(columns)
    rows = pq.read_table(file, columns=kept, filters=pc.field("customer_id") == wanted)
    return rows.slice(0, 1).to_pandas() if len(rows) else None
