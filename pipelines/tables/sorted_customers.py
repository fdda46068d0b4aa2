"""A file of customers in the order of their ids, whatever its size."""

from __future__ import annotations

from pathlib import Path

from ..settings.params import Machine
from .engine import open_duckdb

IN_ORDER = """
select coalesce(bool_and(before <= customer_id), true)
from (select customer_id, lag(customer_id) over () as before from read_parquet($file))
"""


def sorted_customers(file: Path, machine: Machine, scratch: Path) -> Path:
    """The file itself if its rows are sorted by customer_id, else a sorted copy in `scratch`.

    Memory is that of DuckDB: what exceeds its limit is spilled to `scratch`.
    """
    with open_duckdb(machine.memory_limit, machine.threads, spill=scratch) as connection:
        if connection.sql(IN_ORDER, params={"file": str(file)}).fetchall() == [(True,)]:
            return file
        copy = scratch / f"sorted-{file.name}"
        connection.execute(
            "copy (from read_parquet($file) order by customer_id) to $copy (format parquet)",
            {"file": str(file), "copy": str(copy)},
        )
    return copy
