"""Numbers and times that arrive as text: how they look, and how a query reads them."""

from __future__ import annotations

import re
from typing import Any

import narwhals as nw

from .column_types import TEXT
from .contract import KINDS, TABLES, Kind

ISO_DATE = "2025-12-31"  # what messages show of ISO 8601
# No leading zero: 01234 is a code. Thousands may be set apart, decimals follow a comma or point.
NUMBER = r"^[+-]?(?:[1-9]\d{0,2}(?:[., ']\d{3})+|0|[1-9]\d*)(?:[.,]\d+)?$"
_FRACTION = r"[.,]"
_DAY_FIRST_OR_MONTH = re.compile(
    r"\d{1,2}(?P<sep>[./-])\d{1,2}(?P=sep)(?P<year>\d{4}|\d\d)"
    r"(?P<time>[ T]\d{1,2}:\d\d(?P<seconds>:\d\d)?)?"
)
_LIKE_A_TIME = re.compile(r"[\d\s./:,+TZ-]*\d(?:[\d\s./:,+TZ-]|[AaPp][Mm]|[A-Z][a-z]{2}\b)*")
_NUMERIC = ("money", "number", "probability", "whole")
_NEARLY_ALL = 0.95
_FEW_CODES = 20  # so many different whole numbers may well be codes


def date_formats(example: str) -> tuple[str, str] | None:
    """The two formats (of strptime) that a date such as 03/12/2025 may have, the day first.

    None for a text that is no such date.
    """
    found = _DAY_FIRST_OR_MONTH.fullmatch(example.strip())
    if found is None:
        return None
    sep, year = found["sep"], "%Y" if len(found["year"]) == 4 else "%y"
    clock = ""
    if found["time"]:
        clock = f"{found['time'][0]}%H:%M{':%S' if found['seconds'] else ''}"
    return f"%d{sep}%m{sep}{year}{clock}", f"%m{sep}%d{sep}{year}{clock}"


def text_problem(kind: Kind, name: str, example: str = "") -> tuple[str, str, str]:
    """What is wrong with a column of text where another type is due: expected, found, cure.

    Parameters
    ----------
    kind
        What the column must be.
    name
        Of the column, for the cure.
    example
        One of its values, shown if it looks like a time or a number, not if it may be a name;
        empty if it has none.
    """
    expected, found, cure = f"be {KINDS[kind]}", "text", "cast it in the source's query"
    if kind == "time" and example:
        expected += f", as in ISO 8601 ({ISO_DATE})"
        found = f"text such as '{example}'" if _LIKE_A_TIME.fullmatch(example) else found
        if formats := date_formats(example):
            day, month = formats
            cure += (
                f": strptime({name}, '{day}') if the day comes first, "
                f"strptime({name}, '{month}') if the month does"
            )
    elif kind in _NUMERIC and re.search(NUMBER, example):
        found, cure = f"text such as '{example}'", f"{cure}: {_cast(name, example)}"
    return expected, found, cure


def numbers_as_text(attributes: Any, *, known: tuple[str, ...] = ()) -> list[str]:
    """Columns of the attributes that are text although nearly all of their values are numbers.

    As text each number is a category of its own. Few different whole numbers are taken for codes.

    Parameters
    ----------
    attributes
        The table, native or narwhals.
    known
        Names of columns to pass over, since somebody has said that they are features as they are.

    Returns
    -------
    list of str
        A sentence for each, with the form of the commonest, all digits as 9, and the cure.
    """
    frame = nw.from_native(attributes).lazy()
    told = []
    for name, dtype in frame.collect_schema().items():
        if not isinstance(dtype, TEXT) or TABLES["attributes"].column(name) or name in known:
            continue
        values = frame.select(value=nw.col(name).cast(nw.String)).drop_nulls("value")
        counts = values.group_by("value").agg(rows=nw.len())
        numbers = counts.filter(nw.col("value").str.contains(NUMBER))
        rows, (of_numbers, different) = _total(counts)[0], _total(numbers)
        if not rows or of_numbers < _NEARLY_ALL * rows:
            continue
        shown = _commonest(numbers.filter(nw.col("value").str.contains(_FRACTION)))
        if shown is None and different <= _FEW_CODES:
            continue
        form = re.sub(r"\d", "9", shown or "9")
        such = f" such as '{form}'" if shown else ""
        told.append(
            f"attributes: column '{name}' is text, and {of_numbers:,} of its {rows:,} values are "
            f"numbers{such}, so that each is a category of its own; cast it in the source's "
            f"query: {_cast(name, form)}; if it is a code, name it under allowed:"
        )
    return told


def _total(counts: nw.LazyFrame[Any]) -> tuple[int, int]:
    """Rows, and different values."""
    total = counts.select(rows=nw.col("rows").sum(), different=nw.len()).collect()
    return int(total["rows"][0] or 0), int(total["different"][0])


def _commonest(counts: nw.LazyFrame[Any]) -> str | None:
    """The value with the most rows; None without any."""
    first = counts.sort("rows", "value", descending=[True, False]).head(1).collect()
    return None if first.is_empty() else str(first["value"][0])


def _cast(name: str, example: str) -> str:
    """SQL that reads numbers such as the example, whose last comma or point sets off decimals."""
    sql, last = name, max(example.rfind("."), example.rfind(","))
    mark = example[last] if last >= 0 else ""
    if mark and example.count(mark) > 1:
        mark = ""  # 1.234.567 has thousands alone
    for other in (each for each in ". ,'" if each in example and each != mark):
        sql = f"replace({sql}, {_quoted(other)}, '')"
    if mark == ",":
        sql = f"replace({sql}, ',', '.')"
    return f"{sql}::double"


def _quoted(character: str) -> str:
    return "''''" if character == "'" else f"'{character}'"
