"""Detects columns whose unit or time zone changed since the last accepted run.

A small profile of each column is kept with the accepted tables: the distribution of amounts over
powers of ten, the distribution of times over the hours of the day, and the earliest times. Amounts
that all grew a hundredfold, or times that all moved by the same hours, mean another unit or zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import narwhals as nw
import numpy as np

from .contract import TABLES
from .violation import Violation

FACTORS = (100.0, 0.01, 1000.0, 0.001)
_BINS_PER_DECADE = 10
_LARGEST_DECADE = 18
_EARLIEST = 256
_FEWEST_AMOUNTS = 20
_FEWEST_TIMES = 500
_CURE = "correct the source's query, or accept it: remove _manifest.json of the stored tables"


def profile(tables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A profile of every time and amount column: `{table: {column: profile}}`, writable as JSON.

    Parameters
    ----------
    tables
        Frames by table name, native or narwhals, that meet the contract.
    """
    profiles: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        frame = nw.from_native(table).lazy()
        for column, dtype in frame.collect_schema().items():
            if isinstance(dtype, nw.Datetime):
                facts = _time_profile(frame, column)
            elif _is_amount(name, column, dtype):
                facts = _amount_profile(frame, column)
            else:
                continue
            profiles.setdefault(name, {})[column] = facts
    return profiles


def shifts(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[Violation]:
    """Columns whose unit or time zone differs between two profiles.

    Returns
    -------
    list of Violation
        One for each column whose values were all multiplied or divided by 100 or 1000, or all
        moved by the same number of hours. Other changes are not reported.
    """
    violations = []
    for name, columns in new.items():
        for column, facts in columns.items():
            before = old.get(name, {}).get(column)
            if before is None or ("hours" in facts) != ("hours" in before):
                continue
            shift = _time_shift if "hours" in facts else _unit_shift
            violations += [
                Violation(name, column, expected, found, 0, (), _CURE)
                for expected, found in shift(facts, before)
            ]
    return violations


def _is_amount(table: str, column: str, dtype: Any) -> bool:
    contract_column = TABLES[table].column(column) if table in TABLES else None
    if contract_column is not None:
        return contract_column.kind in ("money", "number")
    return isinstance(dtype, nw.Float32 | nw.Float64 | nw.Decimal)


def _amount_profile(frame: nw.LazyFrame[Any], column: str) -> dict[str, Any]:
    """Counts of non-zero values by tenth of a power of ten."""
    value = nw.col(column).cast(nw.Float64).abs()
    steps = (value.log(base=10) * _BINS_PER_DECADE).floor().cast(nw.Int64)
    counts = (
        frame.filter((value > 0) & (value < 10.0**_LARGEST_DECADE))
        .select(step=steps)
        .group_by("step")
        .agg(rows=nw.len())
        .sort("step")
        .collect()
    )
    pairs = zip(counts["step"].to_list(), counts["rows"].to_list(), strict=True)
    return {"steps": {str(step): int(rows) for step, rows in pairs}}


def _time_profile(frame: nw.LazyFrame[Any], column: str) -> dict[str, Any]:
    """Counts by hour of the day, and the earliest times."""
    times = frame.select(time=nw.col(column)).drop_nulls()
    counts = times.select(hour=nw.col("time").dt.hour()).group_by("hour").agg(rows=nw.len())
    hours = [0] * 24
    table = counts.collect()
    for hour, rows in zip(table["hour"].to_list(), table["rows"].to_list(), strict=True):
        hours[int(hour)] = int(rows)
    first = times.sort("time").head(_EARLIEST).collect()["time"].to_list()
    return {"hours": hours, "first": sorted({time.isoformat() for time in first})[:24]}


def _unit_shift(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Compares distributions over powers of ten, as they are and after each factor of `FACTORS`."""
    if min(sum(new["steps"].values()), sum(old["steps"].values())) < _FEWEST_AMOUNTS:
        return []
    if _decades_apart(new["steps"], old["steps"], 1.0) < 1:
        return []
    for factor in FACTORS:
        if _decades_apart(new["steps"], old["steps"], factor) <= 0.25:
            return [("keep its unit", f"values {factor:g} times those of the last accepted run")]
    return []


def _decades_apart(new: Mapping[str, int], old: Mapping[str, int], factor: float) -> float:
    """Earth mover's distance in powers of ten, with the old values multiplied by the factor."""
    offset = round(np.log10(factor) * _BINS_PER_DECADE)
    steps = [*map(int, new), *(int(step) + offset for step in old)]
    low, high = min(steps), max(steps)
    spread = np.zeros(high - low + 1)
    for step, rows in new.items():
        spread[int(step) - low] += rows / sum(new.values())
    for step, rows in old.items():
        spread[int(step) + offset - low] -= rows / sum(old.values())
    return float(np.abs(np.cumsum(spread)).sum()) / _BINS_PER_DECADE


def _time_shift(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[tuple[str, str]]:
    hours = _moved_start(new["first"], old["first"]) or _moved_hours(new["hours"], old["hours"])
    if not hours:
        return []
    found = f"times {hours:+g} hours from those of the last accepted run"
    return [("keep its time zone (UTC)", found)]


def _moved_start(new: Sequence[str], old: Sequence[str]) -> float:
    """Hours by which all of the earliest times moved; 0 if they did not move alike."""
    if len(new) != len(old) or len(new) < 5:
        return 0.0
    pairs = zip(new, old, strict=True)
    moved = {
        (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()
        for after, before in pairs
    }
    seconds = moved.pop()
    if moved or seconds % 900 or abs(seconds) > 14 * 3600:
        return 0.0
    return seconds / 3600


def _moved_hours(new: Sequence[int], old: Sequence[int]) -> float:
    """Hours by which the distribution over the day moved; 0 if it did not, or is too even."""
    if min(sum(new), sum(old)) < _FEWEST_TIMES:
        return 0.0
    after, before = np.array(new) / sum(new), np.array(old) / sum(old)
    distances = [np.abs(after - np.roll(before, turn)).sum() / 2 for turn in range(24)]
    best = int(np.argmin(distances))
    if distances[0] < 0.2 or distances[best] > min(0.15, distances[0] / 2):
        return 0.0
    return float(best if best <= 12 else best - 24)
