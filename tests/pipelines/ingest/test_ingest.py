"""Raw files become tables: types, order, time zones, fingerprints, and nothing half written."""

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from shop import SHOP, bytes_of, run, shop, write_raw

from winback.pipelines.fingerprint import hash_raw
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import SourceError
from winback.pipelines.settings.yaml_dataclasses import SettingsError
from winback.pipelines.storage.atomic import verify


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
    first, second = (bytes_of(tmp_path / f"out{seed}/tables") for seed in (1, 2))
    assert first["activity.parquet"] == second["activity.parquet"]


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


def test_names_with_odd_characters_are_kept(raw, tmp_path):
    text = SHOP.replace("      income from", '      income as "a""b; select", 1 as "from" from')
    run(shop(raw, text), tmp_path / "out")
    names = pq.read_schema(tmp_path / "out" / "tables" / "attributes.parquet").names
    assert names == ["customer_id", "known_at", 'a"b; select', "from"]


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
from winback.pipelines.settings.source_files import load_source

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


def test_a_simulated_world_looks_as_far_ahead_as_churn_does(tmp_path):
    risks = []
    for days in (60, 180):
        (tmp_path / "world.yaml").write_text(f"{WORLD}churn: {{horizon_days: {days}}}")
        run(load_source(tmp_path / "world.yaml"), tmp_path / f"{days}", seed=1)
        active = pd.read_parquet(tmp_path / f"{days}/truth/active.parquet")
        risks.append(active["churn_probability"].mean())
    assert risks[1] > 2 * risks[0]


def test_an_unknown_parameter_of_a_world_is_named(tmp_path):
    (tmp_path / "world.yaml").write_text(WORLD.replace("scale", "sclae"))
    with pytest.raises(SettingsError, match=r"simulate: unknown key 'sclae'; did you mean 'scale'"):
        run(load_source(tmp_path / "world.yaml"), tmp_path / "out")
