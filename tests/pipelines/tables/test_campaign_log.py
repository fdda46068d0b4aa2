"""Logs of campaigns as rows of offers: what must be known of a return depends on who was sent."""

import duckdb
import pandas as pd
import pytest

from winback.pipelines.settings.source_files import load_source
from winback.pipelines.settings.sources import SourceError
from winback.pipelines.storage.atomic import replace_folder
from winback.pipelines.tables.campaign_log import add_campaigns

SOURCE = """
name: gym
title: A gym
tables:
  customers: {{query: select 1}}
  activity: {{query: select 1}}
  offers: {{query: select 1}}
churn: {{kind: inactivity, horizon_days: 90, inactive_days: 90}}
experiment:
  offers: {{mail: {{contact_cost: 1}}}}
retention:
  control: quiet
  offers: {{call: {{contact_cost: 2}}}}
suppressions: none
campaigns:
  folder: {folder}/campaigns
  responses: {{query: select 1}}
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "gym.yaml").write_text(SOURCE.format(folder=tmp_path))
    return load_source(tmp_path / "gym.yaml")


@pytest.fixture
def engine():
    """Two customers, of whom the first was sent a mail before and came back."""
    with duckdb.connect() as connection:
        connection.execute("create table customers as select unnest([1, 2]) as customer_id")
        connection.execute(
            "create table offers as select 1 as customer_id, timestamp '2023-06-01' as offered_at, "
            "'mail' as offer, true as returned"
        )
        yield connection


def logged(tmp_path, offers):
    log = pd.DataFrame(
        {
            "customer_id": [1, 2],
            "campaign": "spring",
            "offered_at": pd.Timestamp("2024-01-01"),
            "chosen": "call",
            "offer": offers,
            "propensity": 0.5,
            "every_offer_open": True,
        }
    )
    with replace_folder(tmp_path / "campaigns/spring") as new:
        log.to_parquet(new.path / "log.parquet", index=False)
        new.extra["source"] = "gym"


def test_who_stayed_is_told_by_the_source_so_active_customers_need_no_responses(
    source, engine, tmp_path
):
    logged(tmp_path, ["call", "quiet"])
    add_campaigns(source, engine)
    rows = engine.execute("select customer_id, offer, returned from offers order by 2").fetchall()
    assert rows == [(1, "call", None), (1, "mail", True), (2, "quiet", None)]


@pytest.mark.parametrize("offer", ["mail", "none"])
def test_who_returned_is_told_by_orders_or_responses_alone(source, engine, tmp_path, offer):
    logged(tmp_path, ["call", offer])
    with pytest.raises(SourceError, match="no table says which customers returned"):
        add_campaigns(source, engine)


def answered(engine, *rows):
    engine.execute(
        'create table "campaigns.responses" (customer_id varchar, campaign varchar, returned bool)'
    )
    engine.executemany('insert into "campaigns.responses" values (?, ?, true)', rows)


def test_responses_of_nobody_in_the_logs_are_counted(source, engine, tmp_path, capsys):
    logged(tmp_path, ["call", "mail"])
    answered(engine, ("2", "spring"), ("3", "spring"), ("1", "summer"))
    add_campaigns(source, engine)
    told = "2 of 3 rows of campaigns.responses are of no customer in a log of campaigns, such as"
    assert told in capsys.readouterr().err
    assert ("mail", True) in engine.execute(
        "select offer, returned from offers where campaign = 'spring'"
    ).fetchall()


def test_responses_that_are_all_of_nobody_are_refused(source, engine, tmp_path):
    """Ids or campaigns are written in another way: nobody would seem to have answered."""
    logged(tmp_path, ["call", "mail"])
    answered(engine, ("1", "Spring"), ("2", "Spring"))
    with pytest.raises(SourceError, match=r"2 of 2 rows of campaigns\.responses are of no cust"):
        add_campaigns(source, engine)
