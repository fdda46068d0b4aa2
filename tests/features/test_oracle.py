"""Every feature of any small world equals what plain Python says of it."""

import operator
import os
from typing import Any

import pytest
from feature_oracle import churn_label, expected
from feature_tables import KINDS, WINDOWS_DAYS, arrow, frames_on, on_engine, worlds
from hypothesis import HealthCheck, given, settings

from winback.features.families.assemble import features
from winback.features.lifetimes import departures_under
from winback.features.snapshots import churn_snapshots

KEYS = ("customer_id", "as_of")
# ORACLE_EXAMPLES=1500 is the long run, drawn anew each time; the default is the same every time.
ASKED = int(os.environ.get("ORACLE_EXAMPLES", "0"))
EXAMPLES = {"polars": ASKED or 60, "duckdb": ASKED or 8, "pandas": ASKED or 5}


def rows_of(engine: str, tables: Any, snapshots: Any, definition: Any) -> list[dict[str, Any]]:
    session = None
    if engine == "duckdb":
        import duckdb

        session = duckdb.connect()
        session.execute("set threads = 1")
    frame = features(
        frames_on(engine, tables, session),
        on_engine(engine, arrow("snapshots", snapshots), session),
        windows_days=WINDOWS_DAYS,
        definition=definition,
        kinds=KINDS,
    )
    return frame.sort(*KEYS).collect(backend="pyarrow").to_native().to_pylist()


def assert_equal_to_oracle(engine: str, world: Any) -> None:
    tables, snapshots, definition = world
    found = rows_of(engine, tables, snapshots, definition)
    assert [(row["customer_id"], row["as_of"]) for row in found] == [
        (row["customer_id"], row["as_of"])
        for row in sorted(snapshots, key=lambda row: (row["customer_id"], row["as_of"]))
    ]
    for row in found:
        keys = {name: row.pop(name) for name in KEYS}
        wanted = expected(
            tables,
            keys["customer_id"],
            keys["as_of"],
            windows_days=WINDOWS_DAYS,
            definition=definition,
            kinds=KINDS,
        )
        row.pop("__index_level_0__", None)
        assert set(row) == set(wanted)
        different = {
            name: (row[name], wanted[name]) for name in wanted if row[name] != wanted[name]
        }
        assert not different, f"{keys}: feature (found, expected)"


@pytest.mark.parametrize("engine", ["polars", "duckdb", "pandas"])
def test_features_equal_the_plain_oracle(engine: str) -> None:
    @settings(
        max_examples=EXAMPLES[engine],
        derandomize=not ASKED,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds())
    def check(world: Any) -> None:
        assert_equal_to_oracle(engine, world)

    check()


def test_churn_labels_equal_the_plain_oracle() -> None:
    @settings(
        max_examples=ASKED or 40,
        derandomize=not ASKED,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds())
    def check(world: Any) -> None:
        tables, snapshots, definition = world
        dates = sorted({row["as_of"] for row in snapshots})
        frames = frames_on("polars", tables)
        if departures_under(frames, definition) is None:
            return
        found = churn_snapshots(frames, dates=dates, definition=definition, now=10**12)
        rows = found.collect(backend="pyarrow").to_native().to_pylist()
        wanted = [
            {"customer_id": person["customer_id"], "as_of": as_of, "churned": label}
            for person in tables["customers"]
            for as_of in dates
            if (label := churn_label(tables, person, as_of, definition)) is not None
        ]
        order = operator.itemgetter(*KEYS)
        assert sorted(rows, key=order) == sorted(wanted, key=order)

    check()
