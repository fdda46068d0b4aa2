"""Tables of a handful of customers, in days from the start, for exact answers."""

from typing import Any

import narwhals as nw
from feature_tables import DAY, START

ENGINES = ("duckdb", "pandas", "polars")


def day(number: float) -> int:
    return START + round(number * DAY)


def rows_of(frame: nw.LazyFrame, *names: str) -> list[tuple[Any, ...]]:
    rows = frame.sort("customer_id", *names[1:2]).collect(backend="pyarrow").to_native()
    return [tuple(row[name] for name in names) for row in rows.to_pylist()]


def customers(**since: float | None) -> list[dict[str, Any]]:
    return [
        {"customer_id": int(name[1:]), "signed_up_at": None if at is None else day(at)}
        for name, at in since.items()
    ]


def departures(*rows: tuple[int, float]) -> list[dict[str, Any]]:
    return [{"customer_id": one, "departed_at": day(at), "reason": None} for one, at in rows]


def orders(*rows: tuple[int, float, int]) -> list[dict[str, Any]]:
    return [
        {"customer_id": one, "ordered_at": day(at), "amount": amount, "margin": amount // 2}
        for one, at, amount in rows
    ]
