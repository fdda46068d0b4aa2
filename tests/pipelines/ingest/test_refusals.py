"""Faults in a source or its data: each is named, and the tables that stood stay."""

import duckdb
import pytest
from shop import SHOP, bytes_of, run, shop, write_raw

from winback.features.contract.violation import ContractError
from winback.pipelines.settings.sources import SourceError
from winback.pipelines.storage.atomic import StoreError, verify

FAULTS = {
    "missing column": (
        {"orders": "select * exclude (amount) from sound"},
        r"orders: column 'amount' must exist, found only order_id, customer_id, ordered_at",
    ),
    "wrong type": (
        {"orders": "select * replace ('on ' || ordered_at as ordered_at) from sound"},
        r"'ordered_at' must be a timestamp, .*, found text; cast it",
    ),
    "negative money": (
        {"orders": "select * replace (if(order_id = 'o7', -5, amount) as amount) from sound"},
        r"orders: column 'amount' must be at least 0, found -5\.0 in 1 row \(row 8; hashed ids",
    ),
    "recency beyond tenure": (
        {"orders": "select * replace (ordered_at - interval 9 years as ordered_at) from sound"},
        r"'ordered_at' must not be before the customer's signed_up_at, found 2010-.* in 3,000 rows",
    ),
    "duplicate key": (
        {"customers": "from sound union all from sound where customer_id = 3"},
        r"customers: column 'customer_id' must be unique, found 1 key used more than once in "
        r"2 rows \(rows 4, 301; hashed ids",
    ),
    "future date": (
        {
            "orders": "select * replace (if(order_id = 'o7', '2033-01-01'::timestamp, ordered_at) "
            "as ordered_at) from sound"
        },
        r"'ordered_at' must not be after 2021-01-01 00:00:00 \(as_of\), found 2033-",
    ),
    "unknown offer": (
        {"offers": "select * replace (if(customer_id < 2, 'discuont', offer) as offer) from sound"},
        r"offers: column 'offer' must be one of none, discount, found discuont in 2 rows",
    ),
    "null offer": (
        {"offers": "select * replace (if(customer_id < 2, null, offer) as offer) from sound"},
        r"offers: column 'offer' must not be empty, found nothing in 2 rows",
    ),
    "not a number": (
        {"offers": "select * replace ('nan'::double as propensity) from sound"},
        r"offers: column 'propensity' must be finite, found NaN in 300 rows",
    ),
    "infinity": (
        {"customers": "select * replace ('inf'::double as income) from sound"},
        r"attributes: column 'income' must be finite, found infinity in 300 rows",
    ),
    "time zone shift": (
        {"orders": "select * replace (ordered_at + interval 3 hours as ordered_at) from sound"},
        r"orders: column 'ordered_at' must keep its time zone \(UTC\), found times \+3 hours from",
    ),
    "unit times 100": (
        {"orders": "select * replace (amount * 100 as amount) from sound"},
        r"orders: column 'amount' must keep its unit, found values 100 times those of the last",
    ),
    "extra column": (
        {"orders": "select *, 1 as discuont from sound"},
        r"orders: column 'discuont' must be one of order_id, .*, found an unknown column; did you",
    ),
    "orphan": (
        {"customers": "from sound where customer_id <> 17"},
        r"orders: column 'customer_id' must be in customers, found unknown customers in \d+",
    ),
    "known afterwards": (
        {"customers": "select *, 5 as satisfaction from sound"},
        r"attributes: column 'satisfaction_score' must be known before the outcome",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused_and_what_stood_stays(raw, accepted, fault):
    before = bytes_of(accepted)
    changes, message = FAULTS[fault]
    write_raw(raw, **changes)
    text = SHOP
    if fault == "known afterwards":
        text = SHOP.replace("income from", "income, satisfaction as satisfaction_score from")
    with pytest.raises(ContractError, match=message):
        run(shop(raw, text), accepted)
    assert bytes_of(accepted) == before
    assert sorted(each.name for each in accepted.iterdir()) == ["tables", "truth"]


def test_the_rows_are_those_of_the_query_also_where_a_column_hides_the_numbers_of_the_engine(
    raw, tmp_path
):
    write_raw(raw, customers="select *, 'x' as rowid from sound")
    text = SHOP.replace("      income from", "      rowid, if(customer_id >= 290, 'inf', 1) from")
    text = text.replace("'inf', 1)", "'inf'::double, 1) as income")
    with pytest.raises(ContractError, match=r"\(rows 291, 292, 293, 294, 295 and more; hashed"):
        run(shop(raw, text), tmp_path / "out")


def test_a_fault_on_the_first_run_leaves_nothing(raw, tmp_path):
    write_raw(raw, **FAULTS["duplicate key"][0])
    with pytest.raises(ContractError):
        run(shop(raw), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_another_unit_can_be_accepted_and_is_then_the_norm(once, raw, accepted):
    write_raw(raw, **FAULTS["unit times 100"][0])
    with pytest.raises(ContractError, match=r"accept it: remove _manifest\.json of the stored"):
        run(shop(raw), accepted)
    (accepted / "tables" / "_manifest.json").unlink()
    run(shop(raw), accepted)
    with pytest.raises(ContractError, match=r"values 0\.01 times"):
        run(shop(once / "raw"), accepted)


def test_another_source_is_not_compared(raw, accepted):
    write_raw(raw, **FAULTS["unit times 100"][0])
    run(shop(raw, SHOP.replace("name: shop", "name: other")), accepted)


def test_without_as_of_nothing_can_lie_in_the_future(raw, tmp_path):
    write_raw(raw, **FAULTS["future date"][0])
    with pytest.raises(ContractError, match="found 2033-01-01"):
        run(shop(raw, SHOP.replace("as_of: 2021-01-01\n", "")), tmp_path / "out")


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
def test_a_time_without_end_is_refused(raw, tmp_path, kind):
    text = SHOP.replace(
        "select * from read_csv",
        f"select * replace ('infinity'::{kind} as ordered_at) from read_csv",
    )
    with pytest.raises(ContractError, match="found times beyond the year 9999 in 3,000 rows"):
        run(shop(raw, text), tmp_path / "out")


def test_an_id_that_does_not_fit_is_refused(raw, tmp_path):
    write_raw(raw, orders="select * replace (18446744073709551615 as order_id) from sound limit 1")
    message = r"orders: column 'order_id' must be below 2\^63, found 18446744073709551615 in 1 row"
    with pytest.raises(ContractError, match=message):
        run(shop(raw), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "found"),
    [("[1, 2]", r"List\(Int32\)"), ("null", "without a type"), ("time '10:00'", "Time")],
)
def test_attributes_of_odd_types_are_refused(raw, tmp_path, kind, found):
    text = SHOP.replace("      income from", f"      {kind} as income from")
    message = rf"'income' must be a number, text, true or false, found .*{found}"
    with pytest.raises(ContractError, match=message):
        run(shop(raw, text), tmp_path / "out")


def test_a_failing_query_names_its_table(raw, tmp_path):
    text = SHOP.replace("select * from read_csv", "select amuont from read_csv")
    message = r"shop\.yaml: tables\.orders: the query failed: .*amuont.*; correct it in the source"
    with pytest.raises(SourceError, match=message):
        run(shop(raw, text), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_file_is_named_before_anything_is_read(raw, tmp_path):
    (raw / "orders.csv").unlink()
    with pytest.raises(SourceError, match=r"'orders' reads .*orders\.csv, not found; set SHOP to"):
        run(shop(raw), tmp_path / "out")


def test_after_reading_the_engine_reaches_no_other_file(raw, tmp_path, monkeypatch):
    from winback.pipelines import ingest as module

    caught = []

    def look(tables, **_):
        connection = tables["orders"]
        with pytest.raises(duckdb.Error, match=r"(?i)file system|permission|disabled"):
            connection.query("o", f"select * from read_csv('{raw}/orders.csv')").fetchall()
        caught.append(True)

    monkeypatch.setattr(module, "require", look)
    run(shop(raw), tmp_path / "out")
    assert caught == [True]


@pytest.mark.parametrize("damaged", ['{"x": ', "[]"])
def test_a_damaged_manifest_is_named_with_how_to_go_on(raw, accepted, damaged):
    """No other stage could write it anew."""
    manifest = accepted / "tables/_manifest.json"
    manifest.write_text(damaged)
    with pytest.raises(StoreError, match=r"_manifest\.json: was .*; remove it, to accept"):
        run(shop(raw), accepted)
    manifest.unlink()
    run(shop(raw), accepted)
    assert verify(accepted / "tables")["source"] == "shop"
