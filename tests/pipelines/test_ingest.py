import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from winback.features.contract.violation import ContractError
from winback.pipelines.fingerprint import hash_raw
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.sources import Source, SourceError, load_source
from winback.pipelines.settings.yaml_dataclasses import SettingsError
from winback.pipelines.storage.atomic import verify

SHOP = """
name: shop
title: A shop
as_of: 2021-01-01
tables:
  customers:
    query: >
      select customer_id, signed_up_at, cost_to_serve_monthly
      from read_parquet('${SHOP}/customers.parquet')
  attributes:
    query: >
      select customer_id, timestamp '2018-06-01' as known_at,
      income from read_parquet('${SHOP}/customers.parquet')
  orders:
    query: select * from read_csv('${SHOP}/orders.csv')
  offers:
    query: select * from read_parquet('${SHOP}/offers.parquet')
experiment:
  control: none
  offers:
    discount: {cost_on_acceptance: 10}
known_afterwards:
  - Satisfaction Score
"""
RAW = {
    "customers.parquet": """
        select range as customer_id,
            timestamp '2018-01-01' + to_hours((hash(range) % 2000)::bigint) as signed_up_at,
            9.99 as cost_to_serve_monthly, (hash(range) % 90000)::double as income
        from range(300)""",
    "orders.csv": """
        select 'o' || range as order_id, hash(range) % 300 as customer_id,
            timestamp '2019-01-01' + to_days((hash(range, 1) % 500)::int)
                + to_minutes((480 + hash(range, 2) % 600)::bigint) as ordered_at,
            (hash(range, 3) % 9000) / 100 as amount
        from range(3000)""",
    "offers.parquet": """
        select range as customer_id, timestamp '2020-06-01' as offered_at,
            case when hash(range, 4) % 2 = 0 then 'none' else 'discount' end as offer,
            0.5 as propensity, (hash(range, 5) % 2)::int as returned
        from range(300)""",
}


def write_raw(folder: Path, **changes: str) -> None:
    """The raw files; `changes` are SQL over the sound rows, by file name without its ending."""
    folder.mkdir(exist_ok=True)
    connection = duckdb.connect(config={"threads": 1})
    for name, query in RAW.items():
        change = changes.get(name.split(".")[0], "select * from sound")
        query = f"with sound as ({query}) {change}"
        connection.execute(f"copy ({query}) to '{folder / name}'")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Sound raw files, and their accepted tables."""
    folder = tmp_path_factory.mktemp("sound")
    write_raw(folder / "raw")
    run(shop(folder / "raw"), folder / "out")
    return folder


@pytest.fixture
def raw(once, tmp_path):
    return Path(shutil.copytree(once / "raw", tmp_path / "raw"))


@pytest.fixture
def accepted(once, tmp_path):
    """A folder in which the sound tables were accepted."""
    return Path(shutil.copytree(once / "out", tmp_path / "out"))


def shop(raw: Path, text: str = SHOP) -> Source:
    path = raw.parent / "shop.yaml"
    path.write_text(text)
    return load_source(path, environment={"SHOP": str(raw)})


def run(source: Source, folder: Path, **options) -> dict[str, int]:
    return ingest(source, folder / "tables", truth=folder / "truth", **options)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_tables_are_stored_in_the_types_of_the_contract(raw, tmp_path):
    rows = run(shop(raw), tmp_path / "out")
    assert rows == {"customers": 300, "attributes": 300, "orders": 3000, "offers": 300}
    types = {
        name: {field.name: str(field.type) for field in pq.read_schema(file)}
        for name in rows
        for file in [tmp_path / "out" / "tables" / f"{name}.parquet"]
    }
    assert types == {
        "customers": {
            "customer_id": "int64",
            "signed_up_at": "timestamp[us]",
            "cost_to_serve_monthly": "decimal128(18, 2)",
        },
        "attributes": {"customer_id": "int64", "known_at": "timestamp[us]", "income": "double"},
        "orders": {
            "order_id": "string",
            "customer_id": "int64",
            "ordered_at": "timestamp[us]",
            "amount": "decimal128(18, 2)",
        },
        "offers": {
            "customer_id": "int64",
            "offered_at": "timestamp[us]",
            "offer": "string",
            "propensity": "double",
            "returned": "bool",
        },
    }


def test_the_manifest_verifies_and_names_the_source(accepted):
    manifest = verify(accepted / "tables")
    assert manifest["source"] == "shop"
    assert manifest["as_of"] == "2021-01-01 00:00:00"
    assert manifest["files"]["orders.parquet"]["rows"] == 3000
    assert verify(accepted / "truth")["files"] == {}


def test_equal_input_gives_equal_bytes_whatever_the_order_and_threads(raw, accepted, tmp_path):
    write_raw(
        raw,
        orders="select * from sound order by hash(order_id)",
        customers="select * from sound order by customer_id desc",
    )
    run(shop(raw), tmp_path / "two", threads=2)
    assert bytes_of(accepted) == bytes_of(tmp_path / "two")


def test_events_without_a_key_are_sorted_by_all_they_have(raw, tmp_path):
    query = (
        "select i % 300 as customer_id, timestamp '2019-05-05' as happened_at, 'visit' as kind, "
        "i::double as quantity from range(900) as t(i) order by hash(i, {seed})"
    )
    for seed in (1, 2):
        text = SHOP.replace(
            "  orders:", f"  activity:\n    query: {query.format(seed=seed)}\n  orders:"
        )
        run(shop(raw, text), tmp_path / f"out{seed}")
    assert bytes_of(tmp_path / "out1") == bytes_of(tmp_path / "out2")


def test_folders_may_be_relative_and_oddly_named(raw, accepted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(shop(raw), Path("it's"))
    assert bytes_of(tmp_path / "it's") == bytes_of(accepted)


def test_values_are_sorted_and_kept(raw, accepted):
    stored = duckdb.sql(f"from '{accepted}/tables/orders.parquet'").fetchall()
    expected = duckdb.sql(
        f"select order_id, customer_id, ordered_at, amount::decimal(18, 2) "
        f"from read_csv('{raw}/orders.csv') order by customer_id, ordered_at, order_id"
    ).fetchall()
    assert stored == expected


FAULTS = {
    "missing column": (
        {"orders": "select * exclude (amount) from sound"},
        r"orders: column 'amount' must be there, found only order_id, customer_id, ordered_at",
    ),
    "wrong type": (
        {"orders": "select * replace ('on ' || ordered_at as ordered_at) from sound"},
        r"orders: column 'ordered_at' must be a timestamp, found text; cast it in the source's",
    ),
    "negative money": (
        {"orders": "select * replace (if(order_id = 'o7', -5, amount) as amount) from sound"},
        r"orders: column 'amount' must be at least 0, found -5\.0 in 1 row \(hashed ids",
    ),
    "recency beyond tenure": (
        {"orders": "select * replace (ordered_at - interval 9 years as ordered_at) from sound"},
        r"'ordered_at' must not be before the customer's signed_up_at, found 2010-.* in 3,000 rows",
    ),
    "duplicate key": (
        {"customers": "from sound union all from sound where customer_id = 3"},
        r"customers: column 'customer_id' must be unique, found 1 key used more than once in 2 r",
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
        r"orders: column 'customer_id' must stand in customers, found unknown customers in \d+",
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


def test_times_with_a_zone_and_dates_become_utc(raw, tmp_path):
    text = SHOP.replace(
        "select * from read_csv('${SHOP}/orders.csv')",
        "select order_id, customer_id, amount, "
        "ordered_at at time zone 'America/New_York' as ordered_at, "
        "'2020-12-31'::date as recorded_at from read_csv('${SHOP}/orders.csv')",
    )
    run(shop(raw, text), tmp_path / "out")
    offsets = duckdb.sql(
        f"select distinct date_diff('hour', raw.ordered_at, new.ordered_at) as hours, "
        f"recorded_at from '{tmp_path}/out/tables/orders.parquet' as new "
        f"join read_csv('{raw}/orders.csv') as raw using (order_id) order by hours"
    ).fetchall()
    assert offsets == [(4, datetime(2020, 12, 31)), (5, datetime(2020, 12, 31))]


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
    with pytest.raises(ContractError, match="found times beyond the calendar in 3,000 rows"):
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


def test_names_with_odd_characters_are_kept(raw, tmp_path):
    text = SHOP.replace("      income from", '      income as "a""b; select", 1 as "from" from')
    run(shop(raw, text), tmp_path / "out")
    names = pq.read_schema(tmp_path / "out" / "tables" / "attributes.parquet").names
    assert names == ["customer_id", "known_at", 'a"b; select', "from"]


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


def test_a_query_may_end_in_a_comment(raw, tmp_path):
    block = "|\n      select * from read_csv('${SHOP}/orders.csv') -- isn't it"
    text = SHOP.replace("select * from read_csv('${SHOP}/orders.csv')", block)
    assert run(shop(raw, text), tmp_path / "out")["orders"] == 3000


def test_views_are_shared_by_queries(raw, tmp_path):
    text = SHOP.replace(
        "tables:\n",
        "views:\n  people:\n    query: from read_parquet('${SHOP}/customers.parquet');\ntables:\n",
        1,
    ).replace("income from read_parquet('${SHOP}/customers.parquet')", "income from people")
    assert run(shop(raw, text), tmp_path / "out")["attributes"] == 300


KILLED = """
import os, signal, sys
from pathlib import Path
from winback.pipelines import ingest as module
from winback.pipelines.settings.sources import load_source

write = module._write
def die_at_the_third(connection, name, file):
    if name == "orders":
        os.kill(os.getpid(), signal.SIGKILL)
    write(connection, name, file)
module._write = die_at_the_third
out = Path(sys.argv[2])
module.ingest(load_source(Path(sys.argv[1])), out / "tables", truth=out / "truth")
"""


def test_a_kill_between_files_leaves_the_old_tables(raw, accepted, tmp_path):
    before = bytes_of(accepted)
    shop(raw)
    write_raw(raw, orders="from sound limit 2000")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "shop.yaml"), str(tmp_path / "out")],
        check=False,
        timeout=120,
        env={**os.environ, "SHOP": str(raw)},
    )
    assert killed.returncode == -signal.SIGKILL
    after = {name: text for name, text in bytes_of(tmp_path / "out").items() if name[0] != "."}
    assert after == before
    assert run(shop(raw), tmp_path / "out")["orders"] == 2000
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["tables", "truth"]


def test_the_fingerprint_follows_content_and_nothing_else(raw):
    first = hash_raw(shop(raw))
    os.utime(raw / "orders.csv", (1, 1))
    assert hash_raw(shop(raw)) == first
    moved = raw.rename(raw.with_name("moved"))
    assert hash_raw(shop(moved)) == first
    with (moved / "orders.csv").open("a") as file:
        file.write("o9999,1,2019-05-05 10:00:00,3.5\n")
    changed = hash_raw(shop(moved))
    assert changed != first


def test_the_fingerprint_of_a_missing_file_is_an_error(raw):
    (raw / "orders.csv").unlink()
    with pytest.raises(SourceError, match="not found; set SHOP"):
        hash_raw(shop(raw))


WORLD = """
name: world
title: A small world
simulate: {scale: 0.01}
experiment:
  offers: {discount: {}, upgrade: {}, bundle: {}}
"""


def test_a_simulated_source_keeps_the_contract_and_its_truth_apart(tmp_path):
    (tmp_path / "world.yaml").write_text(WORLD)
    rows = run(load_source(tmp_path / "world.yaml"), tmp_path / "out", seed=1)
    assert rows["offers"] == 400
    truth = pq.read_schema(tmp_path / "out" / "truth" / "customers.parquet")
    assert "return_probability_none" in truth.names
    active = pq.read_schema(tmp_path / "out" / "truth" / "active.parquet")
    assert active.names == ["customer_id", "as_of", "churn_probability"]
    tables = [
        pq.read_schema(file).names for file in (tmp_path / "out" / "tables").glob("*.parquet")
    ]
    assert not any(name.startswith(("true_", "return_prob")) for each in tables for name in each)


def test_an_unknown_parameter_of_a_world_is_named(tmp_path):
    (tmp_path / "world.yaml").write_text(WORLD.replace("scale", "sclae"))
    with pytest.raises(SettingsError, match=r"simulate: unknown key 'sclae'; did you mean 'scale'"):
        run(load_source(tmp_path / "world.yaml"), tmp_path / "out")
