"""Each fault in a table is reported once, by name, with the rows and the cure."""

import re
from datetime import UTC

import duckdb
import pandas as pd
import polars as pl
import pytest
from contract_tables import AS_OF, OFFERS, clean, engines, plant, said

from winback.features.contract.checks import check, require
from winback.features.contract.violation import ContractError, hashed


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
        r"^orders: column 'amount' must exist, found only order_id, customer_id, .*; select it",
    ),
    "wrong type of a time": (
        lambda tables: tables["orders"].__setitem__(
            "ordered_at", tables["orders"]["ordered_at"].astype(str)
        ),
        r"^orders: column 'ordered_at' must be a timestamp, as in ISO 8601 \(2025-12-31\), found "
        r"text such as '2018-.*'; cast it in the source's",
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
    "ids of those who objected of another type": (
        lambda tables: tables["suppressions"].__setitem__(
            "customer_id", tables["suppressions"]["customer_id"].astype("str")
        ),
        r"^suppressions: column 'customer_id' must have the type of customers\.customer_id",
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
        "must be unique together with known_at, found 1 key used more than once",
    ),
    "orphan": (
        plant("orders", "customer_id", 9_999_999, rows=3),
        rf"'customer_id' must be in customers, found unknown customers in 3 rows \(hashed ids "
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
        "'returned_at' must exist, found no outcome; select one of returned_at, returned",
    ),
    "unknown table": (
        lambda tables: tables.__setitem__("order", tables.pop("orders")),
        r"^order must be one of customers, .*, found an unknown table; did you mean 'orders'\?",
    ),
    "no customers": (lambda tables: tables.pop("customers"), "^customers must exist, found no"),
    "empty customers": (
        lambda tables: tables.__setitem__("customers", tables["customers"].iloc[:0]),
        "^customers must have rows, found none",
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


def test_all_violations_are_listed_at_once():
    tables = clean()
    for fault in ("negative amount", "future date", "unknown offer", "severity 4"):
        FAULTS[fault][0](tables)
    with pytest.raises(
        ContractError, match=r"break the contract in 4 ways\n  \[WB\d+\] orders: "
    ) as caught:
        require(tables, as_of=AS_OF, offers=OFFERS)
    assert [each.column for each in caught.value.violations] == [
        "ordered_at",
        "amount",
        "severity",
        "offer",
    ]


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
    assert (
        "'Churn Score' must be known before the outcome, found a column known only after it" in line
    )


def test_an_attribute_that_is_a_date_is_refused():
    tables = clean()
    tables["attributes"]["born_at"] = pd.Timestamp("1990-01-01")
    (line,) = said(tables)
    assert "'born_at' must be a number, text, true or false, found a timestamp; cast" in line


def test_ids_are_hashed_and_at_most_five():
    tables = clean()
    plant("orders", "amount", -1.0, rows=200)(tables)
    (violation,) = check(tables, as_of=AS_OF, offers=OFFERS)
    losers = sorted(tables["orders"]["customer_id"].iloc[:200].unique())
    assert violation.ids == tuple(hashed(each) for each in losers[:5])
    assert violation.count == 200


def test_two_attributes_always_known_are_one_too_many():
    tables = clean()
    tables["attributes"].loc[0, "known_at"] = pd.NaT
    assert said(tables) == []
    again = tables["attributes"].iloc[:1]
    tables["attributes"] = pd.concat([tables["attributes"], again], ignore_index=True)
    (line,) = said(tables)
    assert "must be unique together with known_at, found 1 key used more" in line
