"""Canonical tables from rows, on any engine, and strategies that draw awkward ones."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from winback.features.churn_definition import ChurnDefinition
from winback.pipelines.tables import frames

Row = dict[str, Any]
DAY = 86_400
START = 1_600_000_000
KINDS = ("call", "premium")
WINDOWS_DAYS = (2, 5, 9)
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "customers": {"customer_id": pa.int64(), "group_id": pa.int64(), "signed_up_at": pa.int64(),
                  "cost_to_serve_monthly": pa.int64()},
    "orders": {"order_id": pa.int64(), "customer_id": pa.int64(), "ordered_at": pa.int64(),
               "amount": pa.int64(), "margin": pa.int64(), "discount": pa.int64()},
    "activity": {"customer_id": pa.int64(), "happened_at": pa.int64(), "kind": pa.string(),
                 "quantity": pa.int64()},
    "complaints": {"complaint_id": pa.int64(), "customer_id": pa.int64(), "opened_at": pa.int64(),
                   "resolved_at": pa.int64(), "severity": pa.int64(), "cause": pa.string()},
    "referrals": {"referrer_id": pa.int64(), "referred_id": pa.int64(), "referred_at": pa.int64(),
                  "converted_at": pa.int64()},
    "departures": {"customer_id": pa.int64(), "departed_at": pa.int64(), "reason": pa.string()},
    "contacts": {"customer_id": pa.int64(), "contacted_at": pa.int64()},
    "offers": {"customer_id": pa.int64(), "offered_at": pa.int64(), "offer": pa.string(),
               "returned_at": pa.int64()},
    "attributes": {"customer_id": pa.int64(), "known_at": pa.int64(), "plan": pa.string(),
                   "autopay": pa.bool_(), "age": pa.int64()},
}  # fmt: skip


def arrow(table: str, rows: Sequence[Row]) -> pa.Table:
    """Rows as arrow; columns that the first row lacks are left out, recorded_at is allowed."""
    schema = {**SCHEMAS.get(table, {}), "recorded_at": pa.int64(), "as_of": pa.int64()}
    names = [name for name in schema if name in rows[0]] if rows else list(SCHEMAS[table])
    extra = [name for name in (rows[0] if rows else {}) if name not in schema]
    columns = {name: pa.array([row[name] for row in rows], schema[name]) for name in names}
    return pa.table(columns | {name: pa.array([row[name] for row in rows]) for name in extra})


def frames_on(
    engine: str, tables: dict[str, Sequence[Row]], session: Any = None
) -> dict[str, nw.LazyFrame]:
    """Tables of rows as lazy frames of one engine; for duckdb, of one session."""
    if engine == "duckdb" and session is None:
        import duckdb

        session = duckdb.connect()
        session.execute("set threads = 1")
    return {name: on_engine(engine, arrow(name, rows), session) for name, rows in tables.items()}


def on_engine(engine: str, table: pa.Table, session: Any = None) -> nw.LazyFrame:
    if engine == "duckdb":
        return nw.from_native(session.from_arrow(table))
    if engine == "polars":
        import polars as pl

        return nw.from_native(pl.DataFrame(table).lazy())
    return nw.from_native(table.to_pandas(types_mapper=pd.ArrowDtype)).lazy()


def opened_on(engine: str, folder: Path) -> dict[str, nw.LazyFrame]:
    """The canonical frames of a folder of tables, on one thread of DuckDB or in memory."""
    tables = frames.open_tables(folder, threads=1)
    if engine == "duckdb":
        return tables
    return {
        name: on_engine(engine, nw.to_native(frame).to_arrow_table())
        for name, frame in tables.items()
    }


def written(frame: nw.LazyFrame) -> pd.DataFrame:
    """A frame of features as the pipeline writes it."""
    with tempfile.TemporaryDirectory() as folder:
        frames.write(frame, Path(folder) / "rows.parquet")
        return pd.read_parquet(Path(folder) / "rows.parquet")


def moments(earliest: int = -2, latest: int = 14) -> st.SearchStrategy[int]:
    """Whole days, rarely a second beside: few enough for events to meet cuts and window ends."""
    return st.builds(
        lambda days, beside: START + days * DAY + beside,
        st.integers(earliest, latest),
        st.sampled_from((0, 0, 0, 0, 0, 1, -1)),
    )


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, list[Row]], list[Row], ChurnDefinition]:
    """Tables, snapshots and a definition; any table but customers, and recorded_at, may lack."""
    ids = list(range(draw(st.integers(1, 3))))
    one_of_them = st.sampled_from(ids)
    cents = st.integers(0, 9_999)
    shapes: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "orders": {"customer_id": one_of_them, "ordered_at": moments(), "amount": cents,
                   "margin": maybe(cents), "discount": maybe(st.sampled_from((0, 500)))},
        "activity": {"customer_id": one_of_them, "happened_at": moments(),
                     "kind": st.sampled_from(KINDS), "quantity": maybe(st.integers(0, 5_000))},
        "complaints": {"customer_id": one_of_them, "opened_at": moments(),
                       "resolved_at": maybe(moments()), "severity": maybe(st.integers(1, 3)),
                       "cause": maybe(st.sampled_from(("human", "system")))},
        "referrals": {"referrer_id": one_of_them, "referred_id": one_of_them,
                      "referred_at": moments(), "converted_at": maybe(moments())},
        "departures": {"customer_id": one_of_them, "departed_at": moments(),
                       "reason": maybe(st.sampled_from(("price", "service")))},
        "contacts": {"customer_id": one_of_them, "contacted_at": moments()},
        "offers": {"customer_id": one_of_them, "offered_at": moments(),
                   "offer": st.just("discount"), "returned_at": maybe(moments())},
        "attributes": {"customer_id": one_of_them, "known_at": maybe(moments()),
                       "plan": maybe(st.sampled_from(("basic", "full"))),
                       "autopay": maybe(st.booleans()), "age": maybe(st.integers(18, 90))},
    }  # fmt: skip
    keys = {
        "departures": ("customer_id", "departed_at"),
        "attributes": ("customer_id", "known_at"),
    }
    tables: dict[str, list[Row]] = {
        "customers": [
            {"customer_id": one, "signed_up_at": draw(maybe(moments(-2, 4))),
             "cost_to_serve_monthly": draw(maybe(cents))}
            for one in ids
        ]
    }  # fmt: skip
    for name, shape in shapes.items():
        if draw(st.integers(0, 5)) == 0:
            continue
        if draw(st.booleans()):
            shape = {**shape, "recorded_at": maybe(moments())}
        key = keys.get(name)
        unique = (lambda row, key=key: tuple(row[k] for k in key)) if key else None
        tables[name] = draw(st.lists(st.fixed_dictionaries(shape), max_size=7, unique_by=unique))
    as_ofs = draw(st.lists(moments(2, 14), min_size=1, max_size=3, unique=True))
    snapshots = [{"customer_id": one, "as_of": as_of} for one in ids for as_of in as_ofs]
    return tables, snapshots, draw(definitions())


def definitions() -> st.SearchStrategy[ChurnDefinition]:
    return st.builds(
        ChurnDefinition,
        kind=st.sampled_from(("contract", "inactivity")),
        inactive_days=st.integers(1, 6),
        gap_multiple=st.sampled_from((None, 0.5, 1.5, 3.0)),
        grace_days=st.integers(0, 2),
        resign_gap_days=st.integers(0, 4),
        lead_days=st.integers(0, 2),
        horizon_days=st.integers(1, 6),
    )


def many_tables(seed: int, customers: int = 40) -> dict[str, list[Row]]:
    """A random world of every table over START to START + 24 days; each row is recorded late."""
    rng = np.random.default_rng(seed)

    def moment() -> int:
        return START + int(rng.integers(0, 24 * DAY))

    def one() -> int:
        return int(rng.integers(0, customers))

    def late(row: Row, time: str) -> Row:
        return {**row, "recorded_at": row[time] + int(rng.integers(0, DAY))}

    def rows(count: int, make: Callable[[], Row], time: str) -> list[Row]:
        return [late(make(), time) for _ in range(count)]

    def chance(value: Any) -> Any:
        return value if rng.random() < 0.7 else None

    return {
        "customers": [
            {"customer_id": number, "signed_up_at": chance(START - number * DAY),
             "cost_to_serve_monthly": int(rng.integers(100, 900))}
            for number in range(customers)
        ],
        "orders": rows(8 * customers, lambda: {
            "customer_id": one(), "ordered_at": moment(), "amount": int(rng.integers(0, 9_999)),
            "margin": int(rng.integers(0, 5_000)), "discount": int(rng.integers(0, 2)) * 500,
        }, "ordered_at"),
        "activity": rows(8 * customers, lambda: {
            "customer_id": one(), "happened_at": moment(), "kind": KINDS[int(rng.integers(0, 2))],
            "quantity": int(rng.integers(0, 5_000)),
        }, "happened_at"),
        "complaints": rows(2 * customers, lambda: {
            "customer_id": one(), "opened_at": moment(), "resolved_at": chance(moment()),
            "severity": int(rng.integers(1, 4)), "cause": ("human", "system")[rng.integers(0, 2)],
        }, "opened_at"),
        "referrals": rows(customers, lambda: {
            "referrer_id": one(), "referred_id": one(), "referred_at": moment(),
            "converted_at": chance(moment()),
        }, "referred_at"),
        "departures": rows(customers, lambda: {
            "customer_id": one(), "departed_at": moment(),
            "reason": chance(("price", "service")[rng.integers(0, 2)]),
        }, "departed_at"),
        "contacts": rows(3 * customers, lambda: {
            "customer_id": one(), "contacted_at": moment(),
        }, "contacted_at"),
        "offers": rows(customers, lambda: {
            "customer_id": one(), "offered_at": moment(), "offer": "discount",
            "returned_at": chance(moment()),
        }, "offered_at"),
        "attributes": rows(2 * customers, lambda: {
            "customer_id": one(), "known_at": moment(), "plan": ("basic", "full")[one() % 2],
            "autopay": one() % 2 == 0, "age": 18 + one(),
        }, "known_at"),
    }  # fmt: skip
