"""What must come out of the public data sets, where they are at hand."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from winback.features.contract.violation import ContractError
from winback.pipelines.ingest import ingest
from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import Source

ROOT = Path(__file__).parents[2]
FILES = {
    "hillstrom": ("HILLSTROM", "hillstrom.parquet"),
    "telco": ("TELCO", "telco.parquet"),
    "online_retail": ("ONLINE_RETAIL", "online_retail"),
}
Ask = Callable[[str], list[tuple[Any, ...]]]


def real(name: str, path: Path | None = None) -> Source:
    variable, file = FILES[name]
    beside = ROOT.parent / "shared" / "data" / file
    data = os.environ.get(variable) or (str(beside) if beside.exists() else "")
    if not data:
        pytest.skip(f"no {name} data: set {variable} to its {file}")
    return load_source(path or ROOT / "sources" / f"{name}.yaml", environment={variable: data})


def asking(name: str, folder: Path) -> Ask:
    """Ingest a data set; a function that answers SQL over its tables."""
    rows = ingest(real(name), folder / "tables", truth=folder / "truth")
    connection = duckdb.connect(config={"threads": 1})
    for table in rows:
        connection.execute(f"create view {table} as from '{folder}/tables/{table}.parquet'")
    return lambda query: connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def hillstrom(tmp_path_factory) -> Ask:
    return asking("hillstrom", tmp_path_factory.mktemp("hillstrom"))


@pytest.fixture(scope="module")
def telco(tmp_path_factory) -> Ask:
    return asking("telco", tmp_path_factory.mktemp("telco"))


@pytest.fixture(scope="module")
def retail(tmp_path_factory) -> Ask:
    return asking("online_retail", tmp_path_factory.mktemp("retail"))


def test_hillstrom_keeps_all_rows_though_many_are_equal(hillstrom):
    assert hillstrom("select count(*), count(distinct customer_id) from offers") == [(64000, 64000)]
    assert hillstrom("select count(*) from attributes join offers using (customer_id)") == [
        (64000,)
    ]


def test_hillstrom_arms_come_out_as_published(hillstrom):
    rates = hillstrom(
        "select offer, round(avg(returned::int), 5), round(avg(value), 3) from offers "
        "group by offer order by offer"
    )
    assert rates == [
        ("mens_email", 0.18276, 1.423),
        ("none", 0.10617, 0.653),
        ("womens_email", 0.1514, 1.077),
    ]


def test_hillstrom_rows_belong_together(hillstrom):
    raw = real("hillstrom").tables["offers"].variables[0][0]
    assert hillstrom(
        "select count(*) from attributes join offers using (customer_id) "
        f"join read_parquet('{raw}', file_row_number = true) as raw "
        "on customer_id = file_row_number + 1 "
        "where months_since_last_order = recency and spend_last_year = history "
        "and returned = (visit = 1) and value = spend::decimal(18, 2)"
    ) == [(64000,)]


def test_telco_leavers_have_reasons_of_the_contract(telco):
    assert telco("select count(*) from customers") == [(7043,)]
    reasons = dict(telco("select reason, count(*) from departures group by reason"))
    assert sum(reasons.values()) == 1869
    assert reasons == {
        "competitor": 313 + 311 + 117 + 100,
        "price": 78 + 64 + 39 + 30,
        "service": 220 + 94 + 72 + 63 + 29 + 18 + 13 + 12,
        "product": 77 + 37,
        "moved": 46,
        "involuntary": 6,
        "unknown": 130,
    }


def test_telco_has_one_moment_before_which_nobody_left(telco):
    source = real("telco")
    assert telco("select min(departed_at) from departures")[0][0] > source.observed_from
    assert telco("select max(signed_up_at) from customers")[0][0] < source.observed_from
    assert (source.as_of - source.observed_from).days == source.churn.horizon_days


@pytest.mark.parametrize("column", ["Satisfaction Score", "Churn Score", "CLTV", "Customer Status"])
def test_telco_columns_known_afterwards_are_refused(tmp_path, column):
    text = (ROOT / "sources" / "telco.yaml").read_text()
    name = column.lower().replace(" ", "_")
    path = tmp_path / "telco.yaml"
    path.write_text(text.replace("Contract as contract,", f'Contract, "{column}" as {name},'))
    message = f"'{name}' must be known before the outcome, found a column known only after it"
    with pytest.raises(ContractError, match=message):
        ingest(real("telco", path), tmp_path / "tables", truth=tmp_path / "truth")
    assert not (tmp_path / "tables").exists()


def test_telco_has_no_experiment():
    assert real("telco").experiment is None


def test_retail_counts_invoices_of_both_files_once(retail):
    raw = f"{real('online_retail').views['lines'].variables[0][0]}/year_"
    both = f"""
        select Invoice as invoice, "Customer ID"::bigint as customer_id
        from '{raw}2009_2010.parquet'
        union all by name
        select InvoiceNo as invoice, CustomerID::bigint as customer_id
        from '{raw}2010_2011.parquet'"""
    counts = retail(
        "select count(distinct invoice) filter (invoice not like 'C%'), "
        "count(distinct invoice) filter (invoice like 'C%') "
        f"from ({both}) where customer_id is not null"
    )
    orders, cancellations = counts[0]
    assert retail("select count(*), count(distinct order_id) from orders") == [(orders, orders)]
    assert retail("select count(*) from activity where kind = 'cancellation'") == [(cancellations,)]
    assert (orders, cancellations) == (36975, 7901)


def test_retail_has_all_customers_and_no_negative_order(retail):
    assert retail("select count(*) from customers") == [(5942,)]
    assert retail("select count(*) from orders where amount < 0 or order_id like 'C%'") == [(0,)]


def test_retail_invoice_adds_up_by_hand(retail):
    # Invoice 489434 has eight lines; 536365 stands in both files.
    invoices = retail(
        "select order_id, customer_id, ordered_at::text, amount::text from orders "
        "where order_id in ('489434', '536365') order by order_id"
    )
    assert invoices == [
        ("489434", 13085, "2009-12-01 07:45:00", "505.30"),
        ("536365", 17850, "2010-12-01 08:26:00", "139.12"),
    ]
