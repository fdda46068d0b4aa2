"""DuckDB: opened in memory, within limits, in UTC; names and texts as it reads them."""

from __future__ import annotations

from pathlib import Path

import duckdb

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
WHOLE_TYPES = {*_WHOLE, *(f"U{name}" for name in _WHOLE)}


def open_duckdb(
    memory_limit: str, threads: int, *, spill: Path | None
) -> duckdb.DuckDBPyConnection:
    """A new in-memory DuckDB without extensions to install.

    Parameters
    ----------
    spill
        A folder for what exceeds its memory, which the caller removes. None spills nothing, so that
        more is an error: by itself DuckDB leaves rows in a folder .tmp, which nothing removes.
    """
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
    connection.execute("set temp_directory = ?", [str(spill.resolve()) if spill else ""])
    return connection


def quoted_name(name: str) -> str:
    """The name of a table or column in SQL, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"
