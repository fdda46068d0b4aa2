"""Tables from a real PostgreSQL that the fixture starts in a folder of its own."""

import sys
import traceback
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres import QUOTED
from postgres import psql as change

from winback.features.contract.violation import ContractError
from winback.pipelines.fingerprint import hash_raw
from winback.pipelines.ingest import ingest
from winback.pipelines.scoring import postgres_table as table_out
from winback.pipelines.scoring.postgres_table import check_table, write_table
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import Source, SourceError
from winback.pipelines.storage.atomic import read_verified
from winback.pipelines.tables import database
from winback.pipelines.tables.database import (
    _what_it_said,
    _with_timeout,
    open_database,
    run,
    without_password,
)

FIRST = datetime(2020, 1, 1, 2, 3)
TABLES = """
create type reason as enum ('price', 'service');
create table people (id bigint primary key, since timestamptz, monthly numeric(10, 2));
insert into people
    select i, '2019-01-01 00:00+02'::timestamptz + i * interval '1 hour', 3.05
    from generate_series(1, 200) i;
create table bills (bill text, person bigint, billed timestamp, amount numeric(12, 2), part real);
insert into bills
    select 'b' || i, 1 + i % 200, '2020-01-01'::timestamp + i * interval '10 minutes',
        (i % 900) / 100.0, 0.5
    from generate_series(1, 5000) i;
create table gone (person bigint, on_day date, why reason);
insert into gone select i, '2020-06-01', 'price' from generate_series(1, 50) i;
"""
SOURCE = """
name: warehouse
title: A warehouse
as_of: 2021-01-01
tables:
  customers:
    uri: ${WAREHOUSE}
    query: select id as customer_id, since as signed_up_at, monthly as cost_to_serve_monthly
      from people;
  orders:
    uri: ${WAREHOUSE}
    query: select bill as order_id, person as customer_id, billed as ordered_at, amount from bills
  departures:
    uri: ${WAREHOUSE}
    query: select person as customer_id, on_day as departed_at, why as reason from gone
"""


@pytest.fixture(scope="module")
def server(postgres):
    """The uri of a running server with the tables above."""
    pytest.importorskip("adbc_driver_postgresql", reason="no driver: install the extra 'postgres'")
    change(postgres, TABLES)
    return postgres


def warehouse(folder: Path, server: str, text: str = SOURCE) -> Source:
    (folder / "warehouse.yaml").write_text(text)
    return load_source(folder / "warehouse.yaml", environment={"WAREHOUSE": server})


def test_tables_of_a_database_equal_those_of_files(server, tmp_path):
    source = warehouse(tmp_path, server)
    rows = ingest(source, tmp_path / "db", truth=tmp_path / "truth")
    assert rows == {"customers": 200, "orders": 5000, "departures": 50}

    exported = tmp_path / "export"
    exported.mkdir()
    text = SOURCE
    for table in ("people", "bills", "gone"):
        file = exported / f"{table}.csv"
        copy = f"\\copy {table} to '{file}' with (format csv, header)"
        change(server, copy)
        text = text.replace(f"from {table}", f"from read_csv('{file}')")
    files = warehouse(tmp_path, server, text.replace("    uri: ${WAREHOUSE}\n", ""))
    ingest(files, tmp_path / "csv", truth=tmp_path / "truth")
    assert read_verified(tmp_path / "db") == read_verified(tmp_path / "csv")


def test_the_contract_holds_for_databases_too(server, tmp_path):
    text = SOURCE.replace("ordered_at, amount from", "ordered_at, amount - 1 as amount from")
    with pytest.raises(ContractError, match=r"'amount' must be at least 0, found -1\.0, -0\.99"):
        ingest(warehouse(tmp_path, server, text), tmp_path / "db", truth=tmp_path / "truth")
    assert not (tmp_path / "db").exists()


def test_a_number_that_is_none_is_refused_not_rounded(server, tmp_path):
    text = SOURCE.replace("ordered_at, amount", "ordered_at, 'NaN'::numeric as amount")
    with pytest.raises(ContractError, match="'amount' must be finite, found NaN in 5,000 rows"):
        ingest(warehouse(tmp_path, server, text), tmp_path / "db", truth=tmp_path / "truth")


def test_the_fingerprint_follows_the_rows(server, tmp_path):
    source = warehouse(tmp_path, server)
    first = hash_raw(source)
    assert hash_raw(source) == first
    change(server, "update people set monthly = monthly + 0.01 where id = 7")
    changed = hash_raw(source)
    assert changed != first
    change(server, "update people set monthly = monthly - 0.01 where id = 7")
    assert hash_raw(source) == first


def test_a_version_query_decides_alone(server, tmp_path):
    version = "    version_query: select max(id) from people\n    query: select id"
    source = warehouse(tmp_path, server, SOURCE.replace("    query: select id", version))
    first = hash_raw(source)
    change(server, "update people set monthly = monthly + 0.01 where id = 8")
    assert hash_raw(source) == first


def test_a_query_cannot_write(server, tmp_path):
    text = SOURCE.replace(
        "select person as customer_id, on_day as departed_at, why as reason from gone",
        "delete from gone returning person as customer_id, on_day as departed_at",
    )
    with pytest.raises(SourceError, match="read-only transaction"):
        ingest(warehouse(tmp_path, server, text), tmp_path / "db", truth=tmp_path / "truth")


def test_a_failing_query_names_its_place(server, tmp_path):
    text = SOURCE.replace("amount from bills", "amuont from bills")
    message = (
        r"warehouse\.yaml: tables\.orders: the query failed in postgresql://owner@127\.0\.0\.1:\d+"
        r"/postgres: .*column \"amuont\" does not exist.*; correct it in the source"
    )
    with pytest.raises(SourceError, match=message):
        ingest(warehouse(tmp_path, server, text), tmp_path / "db", truth=tmp_path / "truth")


def test_a_query_that_fails_midway_leaves_nothing(server, tmp_path):
    text = SOURCE.replace("amount from bills", "1 / (person - 150) as amount from bills")
    with pytest.raises(SourceError, match=r"tables\.orders: .*division by zero"):
        ingest(warehouse(tmp_path, server, text), tmp_path / "db", truth=tmp_path / "truth")
    assert not (tmp_path / "db").exists()


def test_a_wrong_password_is_refused_without_showing_it(server, tmp_path):
    source = warehouse(tmp_path, server.replace(QUOTED, "wr0ng%2Fw0rd"))
    message = (
        r"warehouse\.yaml: tables\.\w+: the database postgresql://owner@127\.0\.0\.1:\d+/postgres "
        r"refused the connection: .*password authentication failed.*; check that it runs"
    )
    with pytest.raises(SourceError, match=message) as caught:
        ingest(source, tmp_path / "db", truth=tmp_path / "truth")
    assert "wr0ng" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not (tmp_path / "db").exists()


def test_a_database_that_does_not_run_is_one_clear_error(tmp_path):
    pytest.importorskip("adbc_driver_postgresql", reason="no driver: install the extra 'postgres'")
    uri = f"postgresql://owner:{QUOTED}@127.0.0.1:1/shop?password={QUOTED}"
    source = warehouse(tmp_path, uri)
    message = r"the database postgresql://owner@127\.0\.0\.1:1/shop refused the connection: .*refus"
    with pytest.raises(SourceError, match=message) as caught:
        ingest(source, tmp_path / "db", truth=tmp_path / "truth")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SourceError, match=message) as caught:
        hash_raw(source)
    assert "s3cret" not in str(caught.value)


def test_another_kind_of_database_is_refused_with_a_way_out(tmp_path):
    source = warehouse(tmp_path, "oracle://x:y@z/shop")
    message = "uri must begin with one of postgresql, postgres, found 'oracle'; export the table"
    with pytest.raises(SourceError, match=message):
        ingest(source, tmp_path / "db", truth=tmp_path / "truth")


def test_a_missing_driver_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    source = warehouse(tmp_path, "postgresql://x@127.0.0.1:1/shop")
    with pytest.raises(SourceError, match=r"needs its driver; pip install -e '.\[postgres\]'"):
        ingest(source, tmp_path / "db", truth=tmp_path / "truth")


@pytest.mark.parametrize("password", ["geheim{}x", "12{}geheim"])
@pytest.mark.parametrize("mark", "/#?@[\N{FULLWIDTH COLON}")
def test_a_uri_that_cannot_be_read_does_not_tell_its_password(password, mark):
    uri = f"postgresql://me:{password.format(mark)}@127.0.0.1:1/shop"
    cure = "cannot be read; write '/', '#'"
    with pytest.raises(SourceError, match=cure) as told, open_database(uri, "shop"):
        pass
    assert "geheim" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize(
    ("uri", "timed"),
    [
        ("postgresql:///shop?host=/run/pg", "postgresql:///shop?host=/run/pg&connect_timeout=10"),
        ("postgresql://h/shop", "postgresql://h/shop?connect_timeout=10"),
        ("postgresql://h/shop?connect_timeout=3", "postgresql://h/shop?connect_timeout=3"),
        ("postgresql://h/s?options=-c%20x%3D1", "postgresql://h/s?options=-c%20x%3D1&connect_tim"),
    ],
)
def test_a_uri_is_passed_on_as_it_is_with_a_limit_to_waiting(uri, timed):
    assert _with_timeout(uri).startswith(timed)


@pytest.mark.parametrize(
    "hosts", ["h", "h:1", "h1:1,h2:2", "[::1]:5432", "%2Frun%2Fpg", "db-1.example.org", ""]
)
def test_hosts_may_be_several_addresses_or_sockets(hosts, monkeypatch):
    monkeypatch.setattr(database, "importlib", SimpleNamespace(import_module=str))
    uri = f"postgresql://me:s3cr%2Fet@{hosts}/shop?sslmode=require&options=-c%20a%3D1"
    assert database._driver(uri, "shop") == "adbc_driver_postgresql.dbapi"
    assert without_password(uri) == f"postgresql://me@{hosts}/shop"


def test_a_uri_is_shown_without_its_secrets():
    uri = "postgresql://me:pw@host:5432/shop?password=pw&sslmode=require"
    assert without_password(uri) == "postgresql://me@host:5432/shop"


@pytest.mark.parametrize("secret", ["s3cret/pass", "s3cret%2Fpass"])
def test_what_a_database_says_is_shown_without_the_password(secret):
    for uri in (f"postgresql://me:{QUOTED}@host/shop", f"postgresql://host/shop?password={QUOTED}"):
        said = _what_it_said(RuntimeError(f"cannot\n use {secret} here"), uri)
        assert said == "cannot use *** here"


def scored(folder: Path, version: str, *sizes: int, as_of: datetime = FIRST) -> list[Path]:
    """Parts with so many rows each, as `score` writes them."""
    folder.mkdir()
    parts, first = [], 0
    for number, size in enumerate(sizes):
        ids = range(first, first + size)
        texts = [None if place % 7 == 0 else "discount" for place in ids]
        columns = {
            "customer_id": pa.array(ids, pa.int64()),
            "as_of": pa.array([as_of] * size, pa.timestamp("us")),
            "churn_probability": pa.array([None if i % 5 else i / 1e3 for i in ids], pa.float64()),
            "recommended_offer": pa.array(texts, pa.string()),
            "model_version": pa.array([version] * size, pa.string()),
        }
        parts.append(folder / f"part-{number:05d}.parquet")
        pq.write_table(pa.table(columns), parts[-1])
        first += size
    return parts


def in_table(server: str, sql: str) -> list[tuple[object, ...]]:
    with open_database(server, "test") as cursor:
        run(cursor, sql, uri=server, where="test")
        return list(cursor.fetchall())


def test_scores_replace_the_rows_of_a_table_and_nothing_else_of_it(server, tmp_path):
    change(server, "create schema marketing")
    parts = scored(tmp_path / "old", "winback/1", 300, 0, 200)
    assert write_table(parts, "marketing.scores", server) == 500
    expected = pa.concat_tables([pq.read_table(part) for part in parts]).to_pylist()
    found = in_table(server, "select * from marketing.scores order by customer_id")
    assert [tuple(row.values()) for row in expected] == found
    change(server, "create view due as select customer_id from marketing.scores")
    check_table("marketing.scores", server)
    assert write_table(scored(tmp_path / "new", "winback/2", 10), "marketing.scores", server) == 10
    assert in_table(server, "select count(*) from due") == [(10,)]
    assert in_table(server, "select distinct model_version from marketing.scores") == [
        ("winback/2",)
    ]


def test_a_table_that_is_appended_to_keeps_one_set_of_rows_a_moment(server, tmp_path):
    later = datetime(2020, 2, 1, 0, 0, 0, 250_000)
    for folder, version, rows, as_of in (
        ("first", "winback/1", 30, FIRST),
        ("second", "winback/2", 20, later),
        ("again", "winback/3", 10, later),
    ):
        parts = scored(tmp_path / folder, version, rows, as_of=as_of)
        assert write_table(parts, "history", server, only_of=as_of) == rows
    counts = "select as_of, model_version, count(*) from history group by 1, 2 order by 1"
    assert in_table(server, counts) == [(FIRST, "winback/1", 30), (later, "winback/3", 10)]


def test_an_export_that_fails_midway_leaves_the_old_rows(server, tmp_path):
    write_table(scored(tmp_path / "old", "winback/1", 100), "kept", server)
    parts = scored(tmp_path / "new", "winback/2", 80, 80)
    whole = parts[1].read_bytes()
    parts[1].write_bytes(whole[:4] + bytes(len(whole) - 200) + whole[-196:])
    with pytest.raises((SourceError, OSError, pa.ArrowException)):
        write_table(parts, "kept", server)
    assert in_table(server, "select count(*), min(model_version) from kept") == [(100, "winback/1")]
    with pytest.raises((SourceError, OSError, pa.ArrowException)):
        write_table(parts, "never_there", server)
    assert in_table(server, "select to_regclass('never_there')") == [(None,)]


def test_a_reader_sees_the_old_rows_until_all_new_ones_are_there(server, tmp_path, monkeypatch):
    write_table(scored(tmp_path / "old", "winback/1", 100), "watched", server)
    seen = []
    rows = table_out._rows

    def watching(parts):
        for batch in rows(parts):
            yield batch
            seen.append(in_table(server, "select count(*), min(model_version) from watched"))

    monkeypatch.setattr(table_out, "_rows", watching)
    write_table(scored(tmp_path / "new", "winback/2", 5, 5), "watched", server)
    assert seen == [[(100, "winback/1")]] * 2
    assert in_table(server, "select count(*) from watched") == [(10,)]


def test_a_table_that_holds_no_scores_is_not_replaced(server, tmp_path):
    with pytest.raises(ValueError, match=r"people holds no scores \(it has id, since, monthly\)"):
        check_table("people", server)
    with pytest.raises(ValueError, match=r"must be NAME or SCHEMA.NAME .* found 'x; drop table p'"):
        check_table("x; drop table p", server)
    change(server, "create table lean (customer_id int, as_of timestamp, model_version text)")
    with pytest.raises(ValueError, match=r"lean has the columns .*; drop it, or name another"):
        write_table(scored(tmp_path / "new", "winback/2", 5), "lean", server)
    with pytest.raises(SourceError, match="refused the connection") as caught:
        check_table("scores", server.replace(QUOTED, "wr0ng"))
    assert "wr0ng" not in str(caught.value)
