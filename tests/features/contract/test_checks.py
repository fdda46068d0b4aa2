import math
import re
from collections import Counter
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from winback.features.contract.checks import check, require
from winback.features.contract.contract import TABLES, contract_markdown
from winback.features.contract.violation import ContractError, hashed

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


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_sound_tables_pass(engine):
    assert said(engines(clean())[engine]) == []


def test_customers_alone_pass():
    assert said({"customers": pd.DataFrame({"customer_id": ["a", "b"]})}) == []


def plant(table: str, column: str, value: object, rows: int = 1):
    def change(tables):
        frame = tables[table]
        if isinstance(value, str) or value is None:
            frame[column] = frame[column].astype(object)
        frame.loc[: rows - 1, column] = value
        if isinstance(value, str) or value is None:
            frame[column] = frame[column].astype("str")

    return change


def future(tables):
    tables["orders"].loc[:1, "ordered_at"] = pd.Timestamp("2031-05-05")


def double(tables):
    orders = tables["orders"]
    tables["orders"] = pd.concat([orders, orders.iloc[:2]], ignore_index=True)


def double_known_at(tables):
    tables["attributes"] = pd.concat([tables["attributes"], tables["attributes"].iloc[:1]])


def before_sign_up(tables):
    tables["orders"].loc[9, "ordered_at"] = pd.Timestamp("2015-01-01")


FAULTS = {
    "missing column": (
        lambda tables: tables["orders"].pop("amount"),
        r"^orders: column 'amount' must be there, found only order_id, customer_id, .*; select it",
    ),
    "wrong type of a time": (
        lambda tables: tables["orders"].__setitem__(
            "ordered_at", tables["orders"]["ordered_at"].astype(str)
        ),
        r"^orders: column 'ordered_at' must be a timestamp, found text; cast it in the source's",
    ),
    "wrong type of money": (
        lambda tables: tables["orders"].__setitem__("amount", "12 euro"),
        r"^orders: column 'amount' must be a number \(money\), found text; cast it",
    ),
    "wrong type of an id": (
        lambda tables: tables["orders"].__setitem__(
            "customer_id", tables["orders"]["customer_id"].astype(float)
        ),
        r"^orders: column 'customer_id' must be text or a whole number, found a number; cast it",
    ),
    "ids of two types": (
        lambda tables: tables["orders"].__setitem__(
            "customer_id", tables["orders"]["customer_id"].astype("str")
        ),
        r"'customer_id' must have the type of customers\.customer_id \(a whole number\), found te",
    ),
    "extra column": (
        lambda tables: tables["orders"].__setitem__("discuont", 1.0),
        r"^orders: column 'discuont' must be one of .*, found an unknown column; did you mean "
        r"'discount'\? remove or rename it",
    ),
    "negative amount": (
        plant("orders", "amount", -3.5, rows=2),
        r"^orders: column 'amount' must be at least 0, found -3\.5 in 2 rows \(hashed ids [0-9a-f]"
        r"{12}(, [0-9a-f]{12})?\); correct or leave out",
    ),
    "negative discount": (plant("orders", "discount", -1.0), "'discount' must be at least 0"),
    "negative quantity": (plant("activity", "quantity", -1.0), "'quantity' must be at least 0"),
    "infinity": (
        plant("orders", "amount", float("inf")),
        r"'amount' must be finite, found infinity in 1 row ",
    ),
    "infinite attribute": (
        plant("attributes", "income", float("-inf")),
        r"^attributes: column 'income' must be finite, found infinity in 1 row ",
    ),
    "absurd amount": (plant("orders", "amount", 1e16), r"'amount' must be below 1e\+12"),
    "duplicate key": (
        double,
        r"'order_id' must be unique, found 2 keys used more than once in 4 rows",
    ),
    "duplicate pair": (
        double_known_at,
        "must be there once for each customer_id, known_at, found 1 key used more than once",
    ),
    "orphan": (
        plant("orders", "customer_id", 9_999_999, rows=3),
        rf"'customer_id' must stand in customers, found unknown customers in 3 rows \(hashed ids "
        rf"{hashed(9_999_999)}\); add these customers",
    ),
    "future date": (
        future,
        r"'ordered_at' must not be after 2020-01-01 00:00:00 \(as_of\), found 2031-05-05 00:00:00 "
        r"in 2 rows",
    ),
    "recency beyond tenure": (
        before_sign_up,
        r"'ordered_at' must not be before the customer's signed_up_at, found 2015-01-01 00:00:00 "
        r"in 1 row",
    ),
    "resolved before opened": (
        plant("complaints", "resolved_at", pd.Timestamp("2018-01-02")),
        r"'resolved_at' must not be before opened_at, found 2018-01-02 00:00:00 in 1 row",
    ),
    "a time before all times": (
        plant("contacts", "contacted_at", pd.Timestamp("1800-01-01")),
        r"'contacted_at' must not be before 1900, found 1800-01-01 00:00:00 in 1 row",
    ),
    "unknown offer": (
        plant("offers", "offer", "discuont"),
        r"'offer' must be one of none, discount, found discuont in 1 row .*map it to one of these",
    ),
    "null offer": (plant("offers", "offer", None), "'offer' must not be empty, found nothing in 1"),
    "blank id": (
        plant("complaints", "complaint_id", " "),
        r"'complaint_id' must not be empty, found blank text in 1 row",
    ),
    "propensity 0": (plant("offers", "propensity", 0.0), r"must be a number in \(0, 1\], found 0"),
    "propensity 1.2": (plant("offers", "propensity", 1.2), r"in \(0, 1\], found 1\.2 in 1 row"),
    "unknown reason": (
        plant("departures", "reason", "prise"),
        "'reason' must be one of price, service, both, .*, found prise in 1 row",
    ),
    "severity 4": (plant("complaints", "severity", 4), "'severity' must be at most 3, found 4"),
    "returned 2": (
        lambda tables: tables["offers"].__setitem__("returned", 2),
        "'returned' must be 0 or 1, found 2 in 60 rows",
    ),
    "no outcome": (
        lambda tables: (
            tables["offers"].pop("returned_at"),
            tables.pop("orders"),
        ),
        "'returned_at' must be there, found no outcome; select one of returned_at, returned",
    ),
    "unknown table": (
        lambda tables: tables.__setitem__("order", tables.pop("orders")),
        r"^order must be one of customers, .*, found an unknown table; did you mean 'orders'\?",
    ),
    "no customers": (lambda tables: tables.pop("customers"), "^customers must be there, found no"),
    "empty customers": (
        lambda tables: tables.__setitem__("customers", tables["customers"].iloc[:0]),
        "^customers must hold rows, found none",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(fault):
    change, message = FAULTS[fault]
    tables = clean()
    change(tables)
    polars = {name: pl.from_pandas(frame) for name, frame in tables.items()}
    if fault == "empty customers":
        for name in set(polars) - {"customers"}:
            polars.pop(name)
    with pytest.raises(ContractError) as caught:
        require(polars, as_of=AS_OF, offers=OFFERS)
    (violation,) = caught.value.violations
    assert re.search(message, str(violation)), str(violation)


def test_every_engine_finds_the_same():
    tables = clean()
    for fault in (
        "extra column",
        "negative amount",
        "infinite attribute",
        "duplicate key",
        "orphan",
        "future date",
        "recency beyond tenure",
        "unknown offer",
        "propensity 0",
        "severity 4",
    ):
        FAULTS[fault][0](tables)
    found = {name: said(native) for name, native in engines(tables).items()}
    assert found["pandas"] == found["polars"] == found["duckdb"]
    assert len(found["duckdb"]) == 10


def test_nan_is_refused_where_it_is_not_just_missing():
    # In pandas NaN is the missing value; DuckDB and Polars tell the two apart.
    connection = duckdb.connect()
    connection.execute("create table customers as select 1 as customer_id")
    connection.execute(
        "create table orders as select range as order_id, 1 as customer_id, "
        "timestamp '2019-01-01' as ordered_at, "
        "case when range < 2 then 'nan'::double else 1 end as amount from range(9)"
    )
    (line,) = said({name: connection.table(name) for name in ("customers", "orders")})
    assert "'amount' must be finite, found NaN in 2 rows" in line


def test_a_time_zone_is_refused_not_guessed():
    tables = clean()
    orders = tables["orders"]
    orders["ordered_at"] = orders["ordered_at"].dt.tz_localize(UTC)
    (line,) = said(tables)
    assert "'ordered_at' must be in UTC without a zone, found the zone UTC" in line


def test_a_column_known_afterwards_is_no_attribute():
    tables = clean()
    tables["attributes"]["Churn Score"] = 3
    (line,) = said(tables, known_afterwards=["churn_score"])
    assert "'Churn Score' must be known before the outcome, found a column known only aft" in line


def test_an_attribute_that_is_a_date_is_refused():
    tables = clean()
    tables["attributes"]["born_at"] = pd.Timestamp("1990-01-01")
    (line,) = said(tables)
    assert "'born_at' must be a number, text, true or false, found a timestamp; cast" in line


def test_all_violations_are_listed_at_once():
    tables = clean()
    for fault in ("negative amount", "future date", "unknown offer", "severity 4"):
        FAULTS[fault][0](tables)
    with pytest.raises(ContractError, match="break the contract in 4 ways\n  orders: ") as caught:
        require(tables, as_of=AS_OF, offers=OFFERS)
    assert [each.column for each in caught.value.violations] == [
        "ordered_at",
        "amount",
        "severity",
        "offer",
    ]


def test_ids_are_hashed_and_at_most_five():
    tables = clean()
    plant("orders", "amount", -1.0, rows=200)(tables)
    (violation,) = check(tables, as_of=AS_OF, offers=OFFERS)
    losers = sorted(tables["orders"]["customer_id"].iloc[:200].unique())
    assert violation.ids == tuple(hashed(each) for each in losers[:5])
    assert violation.count == 200


def test_two_attributes_of_one_customer_known_at_different_times_are_sound():
    tables = clean()
    later = tables["attributes"].assign(known_at=pd.Timestamp("2019-05-05"))
    tables["attributes"] = pd.concat([tables["attributes"], later])
    assert said(tables) == []


def test_two_attributes_always_known_are_one_too_many():
    tables = clean()
    tables["attributes"].loc[0, "known_at"] = pd.NaT
    assert said(tables) == []
    again = tables["attributes"].iloc[:1]
    tables["attributes"] = pd.concat([tables["attributes"], again], ignore_index=True)
    (line,) = said(tables)
    assert "must be there once for each customer_id, known_at, found 1 key used more" in line


def test_a_complaint_resolved_at_once_is_sound():
    tables = clean()
    tables["complaints"]["resolved_at"] = tables["complaints"]["opened_at"]
    assert said(tables) == []


def test_any_offer_will_do_where_no_experiment_is_declared():
    assert check(clean(), as_of=AS_OF) == []


def resample(tables: dict[str, pd.DataFrame], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """A bootstrap of customers with all that is theirs, under new ids."""
    ids = tables["customers"]["customer_id"].to_numpy()
    drawn = pd.DataFrame({"old": rng.choice(ids, len(ids)), "new": np.arange(len(ids))})
    copies = {}
    for name, frame in tables.items():
        owner = TABLES[name].customer or "customer_id"
        copy = drawn.merge(frame, left_on="old", right_on=owner, how="inner")
        copy[owner] = copy["new"]
        for key in ("order_id", "complaint_id"):
            if key in copy:
                copy[key] = np.arange(len(copy))
        copies[name] = copy[list(frame.columns)]
    return copies


def test_no_false_alarm_on_resamples():
    rng = np.random.default_rng(5)
    tables = clean(customers=40, seed=1)
    for _ in range(100):
        copies = resample(tables, rng)
        assert said({name: pl.from_pandas(frame) for name, frame in copies.items()}) == []


def test_the_documentation_names_every_table_and_column():
    text = contract_markdown()
    for table in TABLES.values():
        assert f"### {table.name}\n" in text
        for column in table.columns:
            assert f"\n| {column.name} | " in text
            assert column.meaning in text


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
            counts["customer_id", "stand in customers"] += 1
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
