"""Tables of the benchmarks: shown on the terminal, and kept for `bench.py`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd  # scripts that measure their own memory do without it

KEPT_IN = "BENCH_TABLES"  # names the file to which each table is added, one JSON document a line


def show(title: str, table: pd.DataFrame, *, decimals: int = 4) -> None:
    """Print a table under its title, and keep it."""
    print(f"\n{title}\n")
    print(table.to_string(float_format=f"{{:.{decimals}f}}".format, na_rep=""), flush=True)
    flat = table
    if table.index.names != [None]:
        flat = table.reset_index()
    elif table.index.dtype.kind != "i":  # names of the rows without one of their own
        flat = table.rename_axis("what").reset_index()
    keep(title, json.loads(flat.to_json(orient="records", date_format="iso")))


def keep(title: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Add the rows of a table to the file that the environment names, if it names one."""
    if os.environ.get(KEPT_IN):
        with Path(os.environ[KEPT_IN]).open("a") as file:
            file.write(json.dumps({"title": title, "rows": list(records)}) + "\n")
