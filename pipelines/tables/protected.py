"""Protected columns of the attributes, as last known: read for reports, never for a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq


def read_protected(
    tables: Path, names: Sequence[str], customers: pd.DataFrame
) -> pd.DataFrame | None:
    """The protected columns that there are, aligned with customers; None without any.

    Parameters
    ----------
    tables
        Folder of the tables.
    names
        The columns under `protected:` of the source.
    customers
        `customer_id` and `as_of` (naive UTC); of each the latest row known by then is taken.
    """
    file = tables / "attributes.parquet"
    present = pq.read_schema(file).names if names and file.is_file() else []
    found = [name for name in names if name in present]
    if not found:
        return None
    dated = "known_at" in present
    kept = ["customer_id", *(["known_at"] if dated else []), *found]
    rows = pd.read_parquet(file, columns=kept)
    if dated:
        rows = rows[~(rows["known_at"] > customers["as_of"].max())]
        rows = rows.sort_values("known_at", kind="stable", na_position="first")
    latest = rows.drop_duplicates("customer_id", keep="last").set_index("customer_id")
    return latest[found].reindex(customers["customer_id"]).set_index(customers.index)
