"""What happened at or after as_of, or was recorded then, is nowhere in the features."""

import hashlib
from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
import pytest
from feature_tables import (
    DAY,
    KINDS,
    START,
    WINDOWS_DAYS,
    arrow,
    frames_on,
    many_tables,
    on_engine,
)

from winback.features import lifetimes, windows
from winback.features.churn_definition import ChurnDefinition
from winback.features.families import assemble, attributes, complaints, referrals

Row = dict[str, Any]
AS_OFS = tuple(START + day * DAY for day in (8, 14, 20))
SNAPSHOTS = [{"customer_id": one, "as_of": as_of} for one in range(40) for as_of in AS_OFS]
LAST = AS_OFS[-1]
CONTRACT = ChurnDefinition(grace_days=1, resign_gap_days=2)
SILENCE = ChurnDefinition(kind="inactivity", inactive_days=2, gap_multiple=1.5)
TIMES = {
    "orders": "ordered_at",
    "activity": "happened_at",
    "complaints": "opened_at",
    "referrals": "referred_at",
    "departures": "departed_at",
    "contacts": "contacted_at",
    "offers": "offered_at",
    "attributes": "known_at",
}


def feature_hash(
    tables: dict[str, list[Row]],
    definition: ChurnDefinition = CONTRACT,
    *,
    engine: str = "polars",
    session: Any = None,
) -> str:
    frame = assemble.features(
        frames_on(engine, tables, session),
        on_engine(engine, arrow("snapshots", SNAPSHOTS), session),
        windows_days=WINDOWS_DAYS,
        definition=definition,
        kinds=KINDS,
    )
    table = frame.sort("customer_id", "as_of").collect(backend="pyarrow").to_native()
    return hashlib.sha256(repr(table.to_pydict()).encode()).hexdigest()


def with_future(tables: dict[str, list[Row]], rows: int = 10_000) -> dict[str, list[Row]]:
    """The tables and `rows` more events: half from the last as_of on, half recorded only then."""
    rng = np.random.default_rng(5)
    more = {name: list(table) for name, table in tables.items()}
    names = list(TIMES)
    for number in range(rows):
        name = names[number % len(names)]
        row = dict(tables[name][int(rng.integers(0, len(tables[name])))])
        if number % 2:
            row[TIMES[name]] = LAST + int(rng.integers(0, 30 * DAY))
            row["recorded_at"] = None
        else:
            row["recorded_at"] = LAST + int(rng.integers(0, 30 * DAY))
        more[name].append(row)
    return more


@pytest.mark.parametrize("definition", [CONTRACT, SILENCE], ids=lambda one: one.kind)
def test_ten_thousand_future_rows_change_nothing(definition: ChurnDefinition) -> None:
    tables = many_tables(1)
    assert feature_hash(with_future(tables), definition) == feature_hash(tables, definition)


def test_changing_every_label_changes_nothing() -> None:
    tables = many_tables(2)

    def changed(row: Row) -> Row:
        outcomes = {"departed_at": 3, "returned_at": 5, "resolved_at": 7, "converted_at": 9}
        moved = {
            name: row[name] + days * DAY
            for name, days in outcomes.items()
            if row.get(name) is not None and row[name] >= LAST
        }
        return row | moved

    other = {name: [changed(row) for row in rows] for name, rows in tables.items()}
    other["departures"] = [r for r in other["departures"] if r["departed_at"] < LAST + 4 * DAY]
    assert other != tables
    assert feature_hash(other) == feature_hash(tables)


def without_later_steps(row: Row) -> Row:
    """The row as it stood at the last as_of."""
    steps = ("resolved_at", "converted_at")
    return {key: None if key in steps and (v or 0) >= LAST else v for key, v in row.items()}


def leaky_visible(
    events: nw.LazyFrame, snapshots: nw.LazyFrame, *, time: str, by: str = "customer_id"
) -> nw.LazyFrame:
    later = snapshots.with_columns(as_of=nw.col("as_of") + DAY)
    seen = windows.visible(events, later, time=time, by=by)
    return seen.with_columns(as_of=nw.col("as_of") - DAY)


def unrecorded_visible(
    events: nw.LazyFrame, snapshots: nw.LazyFrame, *, time: str, by: str = "customer_id"
) -> nw.LazyFrame:
    return windows.visible(events.drop("recorded_at", strict=False), snapshots, time=time, by=by)


def always(column: str) -> nw.Expr:
    return ~nw.col(column).is_null()


@pytest.mark.parametrize(
    ("module", "name", "leak"),
    [
        (assemble, "visible", leaky_visible),
        (assemble, "visible", unrecorded_visible),
        (attributes, "visible", leaky_visible),
        (lifetimes, "visible", leaky_visible),
        (complaints, "happened", always),
        (referrals, "happened", always),
    ],
)
def test_a_planted_leak_is_caught(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, leak: Callable[..., Any]
) -> None:
    tables = many_tables(1)
    future = with_future(tables, 2_000)
    for table in ("complaints", "referrals"):
        future[table] = [without_later_steps(row) for row in future[table]]
    assert feature_hash(future) == feature_hash(tables)
    monkeypatch.setattr(module, name, leak)
    assert feature_hash(future) != feature_hash(tables)


def test_threads_and_row_order_do_not_change_a_bit() -> None:
    import duckdb

    tables = many_tables(3)
    rng = np.random.default_rng(0)
    shuffled = {
        name: [rows[place] for place in rng.permutation(len(rows))] for name, rows in tables.items()
    }
    found = set()
    for threads in (1, 2):
        for rows in (tables, shuffled):
            session = duckdb.connect()
            session.execute(f"set threads = {threads}")
            found.add(feature_hash(rows, engine="duckdb", session=session))
    assert len(found) == 1
