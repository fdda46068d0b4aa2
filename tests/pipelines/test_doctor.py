"""What `winback doctor` says of a source and of its data before and after they are read."""

import json

import pandas as pd
import pytest
from conftest import ROOT, winback

SOURCE = """
name: shop
title: A shop
as_of: 2025-03-20
tables:
  customers: {query: select distinct customer_id from read_parquet('orders.parquet')}
  orders: {query: from read_parquet('orders.parquet')}
churn: {kind: inactivity, inactive_days: 180, horizon_days: 90}
"""


@pytest.fixture
def project(tmp_path):
    """A project whose orders end on 26 December 2024."""
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(range(361), unit="D")
    orders = pd.DataFrame({"order_id": range(361), "customer_id": [n % 20 for n in range(361)]})
    orders.assign(ordered_at=days, amount=9.5).to_parquet(tmp_path / "orders.parquet")
    params = (ROOT / "params.yaml").read_text().replace("sources/kumar.yaml", "shop.yaml")
    (tmp_path / "params.yaml").write_text(params)
    return tmp_path


def checks(folder, capsys, source=SOURCE):
    """The checks by name; what was printed before is passed over."""
    (folder / "shop.yaml").write_text(source)
    capsys.readouterr()
    winback(folder, "doctor", "--json")
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


@pytest.mark.parametrize(
    ("more", "name", "state", "words"),
    [
        ("", "suppressions", "broken", "shop.yaml has no such table, so that recommend refuses"),
        ("suppressions: none", "suppressions", "ok", "none, says shop.yaml"),
        ("read_parquet('objectors.parquet')", "source", "broken", "objectors.parquet, not found"),
        ("read_parquet('raw/objectors')", "source", "broken", "raw/objectors, not found"),
        ("read_csv( ['objectors'])", "source", "broken", "'suppressions' reads objectors, not"),
        ("read_parquet('orders.parquet')", "suppressions", "ok", "there is a table of them"),
    ],
)
def test_who_objected_is_looked_for(project, capsys, more, name, state, words):
    source = f"{SOURCE}{more}\n"
    if more.startswith("read"):
        source = SOURCE.replace("churn:", f'  suppressions: {{query: "from {more}"}}\nchurn:')
    found = checks(project, capsys, source)[name]
    assert (found["state"], words in found["told"]) == (state, True)


def test_data_that_end_long_before_as_of_are_told_once_they_are_read(project, capsys):
    assert checks(project, capsys)["data"]["told"] == "not looked at yet; winback ingest does"
    assert winback(project, "ingest") == 0
    found = checks(project, capsys)["data"]
    assert found["state"] == "warning"
    assert found["told"].startswith("the newest order is of 2024-12-26, 84 days before as_of 2025-")
    assert "; set as_of to 2024-12-27 in the source" in found["told"]
    mended = SOURCE.replace("2025-03-20", "2024-12-27")
    assert checks(project, capsys, mended)["data"]["told"].startswith("not looked at yet")
    assert winback(project, "ingest") == 0
    found = checks(project, capsys, mended)["data"]
    assert (found["state"], found["told"]) == (
        "ok",
        "ingest found nothing doubtful in data/tables",
    )
