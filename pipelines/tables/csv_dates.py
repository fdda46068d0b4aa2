"""Refuses dates in CSV files that would have to be guessed: 03/12/2025 is in March or December."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from ...features.contract.as_text import ISO_DATE, date_formats
from ..settings.raw_files import raw_files
from ..settings.sources import Source, SourceError
from .engine import quoted_name, quoted_text

_CSV = re.compile(r"\.(csv|tsv|txt)(\.gz|\.zst)?$", re.IGNORECASE)
# Whoever writes one of these has said how dates are written, or reads them as text.
_SAID = re.compile(
    r"date_?format|timestamp_?format|strptime|all_varchar|auto_detect", re.IGNORECASE
)
_YEAR_FIRST = "%Y"
_SWAPPED = str.maketrans("dm", "md")


def refuse_guessed_dates(source: Source, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse CSV files with dates whose format no query says and that are not as in ISO 8601.

    DuckDB takes the day for the first number where it may be, and the year where that has two
    digits, and says nothing. Columns that a query does not name are not looked at.

    Raises
    ------
    SourceError
        With a line for each such column: table, file, example, and the cure.
    """
    problems = []
    for files in raw_files(source):
        query = source.queries[files.table].query
        if files.remote or _SAID.search(query):
            continue
        for path in files.paths():
            if _CSV.search(path.name) or "read_csv" in query.lower():
                problems += [
                    f"{source.path}: '{files.table}' reads {path}, whose {problem}"
                    for problem in _guessed(connection, path, query)
                ]
    if problems:
        raise SourceError("\n".join(problems))


def _guessed(connection: duckdb.DuckDBPyConnection, path: Path, query: str) -> list[str]:
    """What is wrong with each column of a file that holds such dates."""
    file = quoted_text(str(path))
    try:
        (found,) = connection.execute(
            f"select DateFormat, TimestampFormat, Columns from sniff_csv({file})"
        ).fetchall()
    except duckdb.Error:
        return []  # whatever it is, reading it will tell
    dates, stamps, columns = found
    told = []
    for name, kind in ((column["name"], column["type"]) for column in columns):
        written, option = (dates, "dateformat") if kind == "DATE" else (stamps, "timestampformat")
        is_time = kind == "DATE" or kind.startswith("TIMESTAMP")
        if not is_time or not written or written.startswith(_YEAR_FIRST) or not _names(query, name):
            continue
        example = _example(connection, file, name)
        day, month = date_formats(example) or (written, written.translate(_SWAPPED))
        told.append(
            f"column '{name}' must hold dates as in ISO 8601 ({ISO_DATE}), found '{example}', of "
            "which nobody can tell whether the day or the month comes first; write into the query "
            f"read_csv({file}, {option} = '{day}') if the day does, '{month}' if the month does"
        )
    return told


def _names(query: str, column: str) -> bool:
    """Whether a query may read a column: it names it, or takes all."""
    text = query.lower()
    return "*" in text or "select" not in text or column.lower() in text


def _example(connection: duckdb.DuckDBPyConnection, file: str, column: str) -> str:
    """The first date of a column that does not begin with the year."""
    name = quoted_name(column)
    found = connection.execute(
        f"select {name} from read_csv({file}, all_varchar = true) "
        f"where regexp_matches({name}, '^\\s*\\d{{1,2}}\\D') limit 1"
    ).fetchone()
    return str(found[0]) if found else ""
