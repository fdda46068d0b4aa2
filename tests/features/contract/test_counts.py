"""Counts of violations equal those of a slow oracle that looks at one row at a time."""

import math
from collections import Counter
from datetime import datetime

import duckdb
import numpy as np
import polars as pl
import pytest
from contract_tables import AS_OF

from winback.features.contract.checks import check


def slow_counts(orders: list[dict], customers: dict[int, datetime | None]) -> dict:
    """Rows of orders that break a rule, by column and rule, one row and one rule at a time."""
    counts: Counter = Counter()
    for row in orders:
        if row["ordered_at"] is None:
            counts["ordered_at", "not be empty"] += 1
        else:
            if row["ordered_at"] > AS_OF:
                counts["ordered_at", "not be after 2020-01-01 00:00:00 (as_of)"] += 1
            start = customers.get(row["customer_id"])
            if start is not None and row["ordered_at"] < start:
                counts["ordered_at", "not be before the customer's signed_up_at"] += 1
        if row["customer_id"] is None:
            counts["customer_id", "not be empty"] += 1
        elif row["customer_id"] not in customers:
            counts["customer_id", "be in customers"] += 1
        if row["amount"] is None:
            counts["amount", "not be empty"] += 1
        elif math.isnan(row["amount"]) or math.isinf(row["amount"]):
            counts["amount", "be finite"] += 1
        elif row["amount"] < 0:
            counts["amount", "be at least 0"] += 1
        if row["order_id"] is None:
            counts["order_id", "not be empty"] += 1
    times_used = Counter(row["order_id"] for row in orders if row["order_id"] is not None)
    repeated = sum(times for times in times_used.values() if times > 1)
    if repeated:
        counts["order_id", "be unique"] = repeated
    return dict(counts)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_counts_equal_those_of_a_slow_oracle(engine):
    rng = np.random.default_rng(7)
    moments = [None, datetime(2018, 1, 1), datetime(2019, 1, 1), datetime(2031, 1, 1), AS_OF]
    amounts = [None, 0.0, -0.01, 5.0, float("nan"), float("inf"), float("-inf")]
    for _ in range(30 if engine == "polars" else 6):
        size = int(rng.integers(1, 12))
        customers = {key: moments[rng.integers(0, 3)] for key in range(3)}
        orders = [
            {
                "order_id": [None, *range(size)][rng.integers(0, size + 1)],
                "customer_id": [None, 0, 1, 2, 9][rng.integers(0, 5)],
                "ordered_at": moments[rng.integers(0, 5)],
                "amount": amounts[rng.integers(0, 7)],
            }
            for _ in range(size)
        ]
        types = {"order_id": pl.Int64, "customer_id": pl.Int64, "amount": pl.Float64}
        tables = {
            "customers": pl.DataFrame(
                {"customer_id": list(customers), "signed_up_at": list(customers.values())},
                schema_overrides={"signed_up_at": pl.Datetime("us")},
            ),
            "orders": pl.DataFrame(
                orders, schema_overrides={**types, "ordered_at": pl.Datetime("us")}
            ),
        }
        if engine == "duckdb":
            connection = duckdb.connect(config={"threads": 1})
            for name, frame in tables.items():
                connection.register("incoming", frame.to_arrow())
                connection.execute(f"create table {name} as from incoming")
            tables = {name: connection.table(name) for name in tables}
        found: Counter = Counter()
        for violation in check(tables, as_of=AS_OF):
            found[violation.column, violation.expected] += violation.count
        assert dict(found) == slow_counts(orders, customers), orders
