"""Sound tables of every kind in the contract, and ways to break and check them."""

from datetime import datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from winback.features.contract.checks import check

AS_OF = datetime(2020, 1, 1)

OFFERS = ("none", "discount")


def clean(customers: int = 60, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Every table of the contract, small and sound."""
    rng = np.random.default_rng(seed)
    ids = np.arange(customers)
    start = pd.Timestamp("2018-01-01")

    def moments(low: int, high: int, size: int) -> pd.Series:
        return pd.Series(start + pd.to_timedelta(rng.integers(low, high, size) * 3600, unit="h"))

    def when(low_days: int, high_days: int, size: int) -> pd.Series:
        hours = rng.integers(low_days * 24, high_days * 24, size)
        return pd.Series(start + pd.to_timedelta(hours, unit="h")).astype("datetime64[us]")

    bought, used, upset = 8 * customers, 5 * customers, customers
    opened = when(200, 600, upset)
    offered = when(500, 600, customers)
    return {
        "customers": pd.DataFrame(
            {
                "customer_id": ids,
                "group_id": [f"shop {one // 3}" if one % 5 else None for one in ids],
                "signed_up_at": when(0, 100, customers),
                "cost_to_serve_monthly": rng.uniform(0, 9, customers).round(2),
            }
        ),
        "attributes": pd.DataFrame(
            {
                "customer_id": ids,
                "known_at": when(0, 100, customers),
                "age": rng.integers(18, 90, customers),
                "income": rng.lognormal(9, 1, customers),
                "plan": rng.choice(["a", "b"], customers),
                "mobile": rng.random(customers) < 0.5,
            }
        ),
        "orders": pd.DataFrame(
            {
                "order_id": np.arange(bought),
                "customer_id": rng.choice(ids, bought),
                "ordered_at": when(100, 700, bought),
                "amount": rng.uniform(0, 90, bought).round(2),
                "margin": rng.uniform(-9, 50, bought).round(2),
                "discount": rng.choice([0.0, 5.0], bought),
            }
        ),
        "activity": pd.DataFrame(
            {
                "customer_id": rng.choice(ids, used),
                "happened_at": when(100, 700, used),
                "kind": rng.choice(["visit", "premium"], used),
                "quantity": rng.uniform(0, 5, used),
            }
        ),
        "complaints": pd.DataFrame(
            {
                "complaint_id": np.arange(upset),
                "customer_id": rng.choice(ids, upset),
                "opened_at": opened,
                "resolved_at": (opened + pd.Timedelta(days=9)).where(rng.random(upset) < 0.7),
                "severity": rng.integers(1, 4, upset),
                "cause": rng.choice(["human", "system"], upset),
            }
        ),
        "referrals": pd.DataFrame(
            {
                "referrer_id": ids,
                "referred_id": ids + 1_000_000,
                "referred_at": when(100, 700, customers),
            }
        ),
        "departures": pd.DataFrame(
            {
                "customer_id": ids,
                "departed_at": when(400, 500, customers),
                "reason": rng.choice(["price", "service", None], customers),
            }
        ),
        "contacts": pd.DataFrame({"customer_id": ids, "contacted_at": when(100, 700, customers)}),
        "offers": pd.DataFrame(
            {
                "customer_id": ids,
                "offered_at": offered,
                "offer": rng.choice(OFFERS, customers),
                "propensity": 0.5,
                "returned_at": (offered + pd.Timedelta(days=9)).where(rng.random(customers) < 0.5),
            }
        ),
        "suppressions": pd.DataFrame(
            {"customer_id": ids[:3], "since": when(0, 9, 3), "why": "objection"}
        ),
    }


def engines(tables: dict[str, pd.DataFrame]) -> dict[str, dict]:
    connection = duckdb.connect(config={"threads": 1})
    for name, frame in tables.items():
        connection.register("incoming", frame)
        connection.execute(f"create table {name} as select * from incoming")
    return {
        "pandas": tables,
        "polars": {name: pl.from_pandas(frame).lazy() for name, frame in tables.items()},
        "duckdb": {name: connection.table(name) for name in tables},
    }


def said(tables, **options) -> list[str]:
    return [str(each) for each in check(tables, as_of=AS_OF, offers=OFFERS, **options)]


def plant(table: str, column: str, value: object, rows: int = 1):
    def change(tables):
        frame = tables[table]
        if isinstance(value, str) or value is None:
            frame[column] = frame[column].astype(object)
        frame.loc[: rows - 1, column] = value
        if isinstance(value, str) or value is None:
            frame[column] = frame[column].astype("str")

    return change
