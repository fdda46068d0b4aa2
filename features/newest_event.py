"""The newest event of tables: what "now" is where a source does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from .contract.contract import TABLES

_NO_EVENTS = ("known_at", "recorded_at", "since")  # times that are of no event
EVENT_TIMES = {
    name: tuple(
        column.name
        for column in table.columns
        if column.kind == "time" and column.name not in _NO_EVENTS
    )
    for name, table in TABLES.items()
}


def newest_event(tables: Mapping[str, Any]) -> Any | None:
    """The greatest time of any event in frames by table name, as they hold it; None without one."""
    times = []
    for name, table in tables.items():
        frame = nw.from_native(table).lazy()
        present = frame.collect_schema().names()
        times += [newest(frame, time) for time in EVENT_TIMES.get(name, ()) if time in present]
    return max((time for time in times if time is not None), default=None)


def newest(frame: nw.LazyFrame[Any], column: str) -> Any | None:
    """The greatest value of a column; None where all are missing."""
    found = frame.select(nw.col(column).max()).collect()[column].to_list()[0]
    return found if found == found else None  # pandas has NaT, which is not itself
