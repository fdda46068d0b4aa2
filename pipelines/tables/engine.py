"""Opening DuckDB: in memory, within limits, in UTC, without extensions to install."""

from __future__ import annotations

from pathlib import Path

import duckdb


def open_duckdb(
    memory_limit: str, threads: int, *, spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A new in-memory DuckDB, which spills what exceeds its memory to `spill` (None: to .tmp)."""
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "autoinstall_known_extensions": False,
        }
    )
    # Where it is off already it is left alone: in Jupyter any change asks for ipywidgets.
    if connection.sql("select current_setting('enable_progress_bar')").fetchall() == [(True,)]:
        connection.execute("set enable_progress_bar = false")
    connection.execute("set TimeZone = 'UTC'")
    if spill is not None:
        connection.execute("set temp_directory = ?", [str(spill.resolve())])
    return connection
