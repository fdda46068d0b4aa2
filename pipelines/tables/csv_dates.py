"""Refuses dates in CSV files that would have to be guessed: 03/12/2025 is in March or December."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from ...features.contract.as_text import ISO_DATE, date_formats
from ..settings.raw_files import RawFiles, raw_files
from ..settings.sources import Source, SourceError
from .engine import quoted_name, quoted_text

_CSV = re.compile(r"\.(csv|tsv|txt)(\.gz|\.zst)?$", re.IGNORECASE)
_CALL = re.compile(r"\bread_csv(?:_auto)?\s*\(", re.IGNORECASE)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()\[\]{},]""")
_TYPED = re.compile(r"\b(columns|types|dtypes|column_types)\s*=", re.IGNORECASE)
_SAID = {"dateformat": r"\bdate_?format\s*=", "timestampformat": r"\btimestamp_?format\s*="}
_SWAPPED = str.maketrans("dm", "md")


def refuse_guessed_dates(source: Source, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse CSV files with dates whose format no query says and that are not as in ISO 8601.

    DuckDB takes the day for the first number where it may be, and the year where that has two
    digits, and says nothing. Only columns that a query reads are looked at, in the first file of a
    pattern; files in object stores are not.

    Parameters
    ----------
    connection
        The engine, with the views of the source.

    Raises
    ------
    SourceError
        With a line for each such column: table, file, example, and the cure.
    """
    problems: list[str] = []
    read = {
        name: _columns_read(connection, table.query)
        for name, table in source.queries.items()
        if name not in source.views and not table.uri
    }
    of_views = None if None in read.values() else set().union(*filter(None, read.values()))
    for files in raw_files(source):
        options = _options(source.queries[files.table].query, files.pattern)
        path = None if files.remote else next(iter(files.paths()), None)
        if options is None or path is None:
            continue
        columns = read.get(files.table, of_views)
        where = f"{source.path}: '{files.table}' reads {files.pattern}, whose "
        problems += [where + told for told in _guessed(connection, path, files, options, columns)]
    if problems:
        raise SourceError("\n".join(problems))


def _columns_read(connection: duckdb.DuckDBPyConnection, query: str) -> set[str] | None:
    """The columns of CSV files that a query reads, by its plan; None if that cannot be told."""
    try:
        ((_, plan),) = connection.execute(f"explain (format json) {query}").fetchall()
    except duckdb.Error:
        return None  # whatever it is, reading it will tell
    return {name for node in json.loads(plan) for name in _projected(node)}


def _projected(node: dict[str, Any]) -> Iterator[str]:
    if "CSV" in node["name"]:
        names = node["extra_info"].get("Projections", [])
        yield from [names] if isinstance(names, str) else names
    for child in node["children"]:
        yield from _projected(child)


def _options(query: str, pattern: str) -> str | None:
    """What a query says beside a pattern of CSV files; None if it reads no CSV there."""
    for call in _CALL.finditer(query):
        files, options = _arguments(query, call.end())
        if quoted_text(pattern) in files:
            return options
    return "" if _CSV.search(pattern) else None


def _arguments(query: str, start: int) -> tuple[str, str]:
    """The first argument of a call, and the others, as they are written."""
    depth, comma = 0, None
    for token in _TOKEN.finditer(query, start):
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}" and depth:
            depth -= 1
        elif token[0] == ")":
            end = token.start()
            return query[start : comma or end], query[comma + 1 : end].strip() if comma else ""
        elif token[0] == "," and not depth and comma is None:
            comma = token.start()
    return query[start:], ""


def _guessed(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    files: RawFiles,
    options: str,
    read: set[str] | None,
) -> Iterator[str]:
    """What is wrong with each column of a file that holds such dates."""
    more = f", {options}" if options else ""
    dates, stamps, columns = _sniffed(connection, path, more)
    for name, kind in ((column["name"], column["type"]) for column in columns):
        written, option = (dates, "dateformat") if kind == "DATE" else (stamps, "timestampformat")
        is_time = kind == "DATE" or kind.startswith("TIMESTAMP")
        said = re.search(_SAID[option], options, re.IGNORECASE)
        if not is_time or not written or written.startswith("%Y") or said:
            continue
        if read is not None and name not in read:
            continue
        example = _example(connection, path, more, name)
        day, month = date_formats(example) or (written, written.translate(_SWAPPED))
        year = f", '{written}' if the year does" if written.startswith("%y") else ""
        call = f"read_csv({quoted_text(files.pattern)}{more}"
        yield (
            f"column '{name}' must hold dates as in ISO 8601 ({ISO_DATE}), found '{example}', of "
            "which nobody can tell whether the day or the month comes first; write into the query "
            f"{call}, {option} = '{day}') if the day does, '{month}' if the month does{year}; if "
            f"it is no date, {call}, types = {{{quoted_text(name)}:'VARCHAR'}})"
        )


def _sniffed(
    connection: duckdb.DuckDBPyConnection, path: Path, more: str
) -> tuple[str | None, str | None, list[dict[str, str]]]:
    """Formats that DuckDB finds for dates and times of a file, and name and type of its columns."""
    tries = [more] if _TYPED.search(more) else [more, ""]  # not every option can be given here
    for options in tries:
        try:
            ((dates, stamps, columns),) = connection.execute(
                "select DateFormat, TimestampFormat, Columns "
                f"from sniff_csv({quoted_text(str(path))}{options})"
            ).fetchall()
        except duckdb.Error:
            continue
        return dates, stamps, columns
    return None, None, []


def _example(connection: duckdb.DuckDBPyConnection, path: Path, more: str, column: str) -> str:
    """The first date of a column that does not begin with a year of four digits."""
    name = quoted_name(column)
    try:
        found = connection.execute(
            f"select {name} from read_csv({quoted_text(str(path))}{more}, all_varchar = true) "
            f"where regexp_matches({name}, '^\\s*\\d{{1,2}}\\D') limit 1"
        ).fetchone()
    except duckdb.Error:
        return ""
    return str(found[0]) if found else ""
